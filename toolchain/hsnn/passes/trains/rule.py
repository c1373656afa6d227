"""What a rule for a linear operator is: a function of a node and its operands to an affine value.

An operator on spike trains belongs on the chip only if it acts on every timestep alike and linearly. A rule
gets the node and a :class:`View` of its operands and returns the result, or raises :class:`NotLinearError`
with the reason why this use is not linear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hsnn.ir.shape import Shape
from hsnn.passes.trains.affine import Affine

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    Float = NDArray[np.float64]


class NotLinearError(Exception):
    """An operator is not linear over the feature axes; the text says why, as part of a sentence.

    Attributes:
        mixes_time: Whether it also treats time or batch as a feature, so that no host could run it per
            timestep either.
    """

    def __init__(self, reason: str, *, mixes_time: bool = False) -> None:
        self.mixes_time = mixes_time
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class View:
    """What a rule may ask about its node.

    Attributes:
        node: The ONNX node.
        lead: Number of leading axes that are not features: 2 for ``(timestep, batch, ...)``, 1 where
            time and batch are merged.
        shape: Feature shape of the result.
        affine: The operands that are spike trains, by position.
        constants: The operands that are constants, by position.
    """

    node: ir.Node
    lead: int
    shape: Shape
    affine: Mapping[int, Affine]
    constants: Mapping[int, NDArray[np.generic]]

    def spikes(self, position: int = 0) -> Affine:
        """Return the spike train at that position; raises :class:`NotLinearError` if there is none."""
        if position not in self.affine:
            raise NotLinearError(f"operand {position} is not a spike train")
        return self.affine[position]

    def constant(self, position: int) -> NDArray[np.generic]:
        """Return the constant at that position, of any shape; raises :class:`NotLinearError` if there is none."""
        if position not in self.constants:
            raise NotLinearError(f"operand {position} is not a constant")
        return self.constants[position]

    def feature_constant(self, position: int) -> Float:
        """Return a constant as float64 that broadcasts to the feature shape.

        Raises:
            NotLinearError: If there is none, or if it differs between timesteps or samples.
        """
        array = np.asarray(self.constant(position), np.float64)
        extra = array.ndim - len(self.shape)
        if extra > 0 and any(extent != 1 for extent in array.shape[:extra]):
            raise NotLinearError("a constant differs between timesteps or samples", mixes_time=True)
        return array.reshape(array.shape[max(extra, 0) :])

    def int_attribute(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.as_int()

    def float_attribute(self, name: str, default: float) -> float:
        """Return a float attribute."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.as_float()

    def string_attribute(self, name: str, default: str) -> str:
        """Return an attribute that is a word."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.as_string()

    def ints_attribute(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Return an attribute that is a list of integers."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else tuple(attribute.as_ints())

    def feature_axes(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """Turn axes of the whole array into axes of the feature shape.

        Raises:
            NotLinearError: If one of them is time or batch.
        """
        rank = self.lead + len(self.spikes().shape)
        absolute = tuple(axis % rank for axis in axes)
        if any(axis < self.lead for axis in absolute):
            raise NotLinearError("it works along the time or batch axis", mixes_time=True)
        return tuple(axis - self.lead for axis in absolute)


Rule: TypeAlias = "Callable[[View], Affine]"


def require_merged(view: View) -> None:
    """Raise :class:`NotLinearError` for operators that take the second axis for channels where it is the batch."""
    if view.lead != 1:
        raise NotLinearError("it takes the batch axis for channels", mixes_time=True)
