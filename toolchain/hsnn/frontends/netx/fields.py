"""Read the fields of one layer, each with its type, shape and range checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import UnsupportedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

INTEGER_MAX = 1 << 31
EXTENT_MAX = 1 << 20
"""Largest extent, kernel, stride or number of features that is believed."""


@dataclass(slots=True)
class Fields:
    """The fields of a layer, by path below it such as ``neuron/type``.

    What nothing has asked for is an error at the end: to ignore it might be to compute something else.

    Attributes:
        index: Index of the layer.
        arrays: All fields.
        kind: Type of the layer, for errors.
        asked: Names that were asked for.
    """

    index: int
    arrays: Mapping[str, NDArray[Any]]
    kind: str = ""
    asked: set[str] = field(default_factory=set)

    def has(self, name: str) -> bool:
        """Whether there is such a field."""
        self.asked.add(name)
        return name in self.arrays

    def text(self, name: str) -> str:
        """Return a text in ASCII."""
        raw = self._array(name)
        if raw.dtype.kind != "S" or raw.size != 1:
            raise self.wrong(name, f"is {raw.dtype} of shape {raw.shape}", "one text")
        value = bytes(raw.reshape(-1)[0])
        if not value.isascii():
            raise self.wrong(name, f"is {value!r}", "ASCII")
        return value.decode("ascii")

    def integer(self, name: str, low: int, high: int) -> int:
        """Return one integer, which may be stored as an array of one."""
        values = self.integers(name)
        if values.size != 1:
            raise self.wrong(name, f"has shape {values.shape}", "one integer")
        value = int(values.reshape(-1)[0])
        self._within(name, values, low, high)
        return value

    def flag(self, name: str) -> bool:
        """Return a truth value."""
        return bool(self.integer(name, 0, 1))

    def integers(self, name: str, *, low: int = -INTEGER_MAX, high: int = INTEGER_MAX) -> Ints:
        """Return an array of integers, however they are stored."""
        raw = self._array(name)
        if raw.dtype.kind not in "fiub":
            raise self.wrong(name, f"is {raw.dtype}", "integers")
        if not raw.size:
            raise self.wrong(name, f"has shape {raw.shape}", "at least one element")
        if raw.dtype.kind == "f":
            wide = raw.astype(np.float64)
            if not np.all(np.isfinite(wide)) or np.any(wide != np.rint(wide)):
                bad = wide[~(np.isfinite(wide) & (wide == np.rint(wide)))].reshape(-1)[0]
                raise self.wrong(name, f"has the value {bad}", "integers")
            if np.abs(wide).max() > INTEGER_MAX:
                raise self.wrong(name, f"reaches {np.abs(wide).max():g}", f"magnitudes up to {INTEGER_MAX}")
        elif raw.dtype.kind == "u" and raw.max() > INTEGER_MAX:
            raise self.wrong(name, f"reaches {raw.max()}", f"magnitudes up to {INTEGER_MAX}")
        values = raw.astype(np.int64)
        self._within(name, values, low, high)
        return values

    def vector(self, name: str, length: int, *, low: int, high: int) -> Ints:
        """Return one integer for each of ``length`` neurons or channels; a single one stands for all."""
        values = self.integers(name, low=low, high=high).reshape(-1)
        if values.size not in (1, length):
            raise self.wrong(name, f"has {values.size} elements", f"{length}")
        return np.broadcast_to(values, (length,)).copy()

    def per_channel(self, name: str, low: int, high: int, channels: int) -> Ints:
        """Return a parameter of neurons: shape () if it is one number, else one per channel."""
        values = self.integers(name, low=low, high=high)
        if values.size == 1:
            return values.reshape(())
        if values.shape != (channels,):
            raise self.wrong(name, f"has shape {values.shape}", f"() or ({channels},)")
        return values

    def pair(self, name: str, low: int) -> tuple[int, int]:
        """Return two extents ``(H, W)``; one number stands for both."""
        values = self.integers(name, low=low, high=EXTENT_MAX).reshape(-1)
        if values.size not in (1, 2):
            raise self.wrong(name, f"has {values.size} elements", "(H, W)")
        return int(values[0]), int(values[-1])

    def shape(self) -> tuple[int, ...]:
        """Return the field ``shape``: ``(N,)`` or ``(C, H, W)``."""
        values = self.integers("shape", low=1, high=EXTENT_MAX)
        if values.shape not in ((1,), (3,)):
            raise self.wrong("shape", f"has shape {values.shape}", "(N,) or (C, H, W)")
        extents = tuple(int(extent) for extent in values)
        if np.prod(np.array(extents, np.float64)) > INTEGER_MAX:
            raise self.wrong("shape", f"is {extents}", f"at most {INTEGER_MAX} neurons")
        return extents

    def finish(self) -> None:
        """Refuse fields that nothing has asked for."""
        left = sorted(set(self.arrays) - self.asked)
        if left:
            raise self.wrong(left[0], "is not known", "the fields that lava-dl 0.6.0 and its older slayer write")

    def wrong(self, name: str, found: str, allowed: str, *, fix: str = "") -> UnsupportedError:
        """Return the error of a field that says something impossible."""
        return UnsupportedError("HSNN-F071", f"{self.title}: field {name!r} {found}", allowed=allowed, fix=fix)

    def refused(self, found: str, *, allowed: str = "", fix: str = "") -> UnsupportedError:
        """Return the error of a layer that is clear but that hsnn does not compile."""
        return UnsupportedError("HSNN-F072", f"{self.title}: {found}", allowed=allowed, fix=fix)

    @property
    def title(self) -> str:
        """Name of the layer in errors."""
        return f"layer {self.index}" + (f" ({self.kind})" if self.kind else "")

    def _array(self, name: str) -> NDArray[Any]:
        self.asked.add(name)
        if name not in self.arrays:
            raise self.wrong(name, "is missing", f"a layer with {name!r}")
        return self.arrays[name]

    def _within(self, name: str, values: Ints, low: int, high: int) -> None:
        if values.min() < low or values.max() > high:
            reach = f"reaches from {values.min()} to {values.max()}"
            raise self.wrong(name, f"is {values.min()}" if values.size == 1 else reach, f"{low} to {high}")
