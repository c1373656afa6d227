"""The NIR graph that is being written: nodes, edges and what each spike train of the hybrid model is in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hsnn.frontends.nir.write_neurons import refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Shape: TypeAlias = tuple[int, ...]
    Array: TypeAlias = NDArray[Any]

MATRIX_MAX = 1 << 26
"""Elements of a matrix that is written for an operator that NIR does not have."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A spike train: the sum of what some nodes send.

    Attributes:
        sources: Names of the nodes.
        shape: Feature shape.
        private: Whether nothing else reads it, so that what follows may still go into these nodes.
    """

    sources: tuple[str, ...]
    shape: Shape
    private: bool = False


class GraphBuilder:
    """Collects the nodes and edges of a NIR graph; a wire stands for each spike train of the hybrid model."""

    def __init__(self) -> None:
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self._taken: set[str] = set()

    def name(self, wanted: str) -> str:
        """Return a free name; slashes, which HDF5 would take for folders, become dots."""
        base = re.sub(r"[^\w.]+", ".", wanted).strip(".") or "node"
        name, number = base, 2
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        return name

    def put(self, wanted: str, node: Any, wire: Wire, shape: Shape) -> Wire:
        """Add a node that reads a wire; return what it sends."""
        name = self.name(wanted)
        self.nodes[name] = node
        self.edges += [(source, name) for source in wire.sources]
        return Wire((name,), shape)

    def scaled(self, wanted: str, wire: Wire, factor: Array) -> Wire:
        """Multiply by a factor that broadcasts to the shape, with a node ``Scale`` where it is needed.

        It is not where all factors are 1, nor where an average pool in front becomes a sum pool by it.
        """
        import nir

        scale = np.array(np.broadcast_to(np.asarray(factor, np.float64), wire.shape))
        if bool((scale == 1.0).all()):
            return wire
        pooled = self._summed(wire, scale)
        return pooled or self.put(wanted, nir.Scale(scale=scale), wire, wire.shape)

    def _summed(self, wire: Wire, scale: Array) -> Wire | None:
        """Turn an average pool whose mean is multiplied by the size of its window into a sum pool."""
        import nir

        node = self.nodes[wire.sources[0]]
        if len(wire.sources) != 1 or not wire.private or not isinstance(node, nir.AvgPool2d):
            return None
        if not bool((scale == float(np.prod(node.kernel_size))).all()):
            return None
        self.nodes[wire.sources[0]] = nir.SumPool2d(node.kernel_size, node.stride, node.padding)
        return wire

    def flat(self, wanted: str, wire: Wire) -> Wire:
        """Give a wire one feature axis."""
        return self.flattened(wanted, wire, 0, len(wire.shape) - 1) if len(wire.shape) != 1 else wire

    def flattened(self, wanted: str, wire: Wire, first: int, last: int) -> Wire:
        """Make one of the axes ``first`` to ``last``."""
        import nir

        shape = (*wire.shape[:first], int(np.prod(wire.shape[first : last + 1])), *wire.shape[last + 1 :])
        node = nir.Flatten({"input": np.array(wire.shape)}, first, last)
        return self.put(wanted, node, wire, shape)

    def shifted(self, wanted: str, wire: Wire, constant: Array) -> Wire:
        """Add a constant that broadcasts to the shape, to the bias of a node that has one where that can be.

        Raises:
            UnsupportedError: ``HSNN-F087``, if NIR has no node for it: the constant is not one number for each channel.
        """
        import nir

        bias = np.broadcast_to(np.asarray(constant, np.float64), wire.shape)
        if not bias.any():
            return wire
        channels = _by_channel(bias)
        for source in wire.sources if wire.private else ():
            node = self.nodes[source]
            if isinstance(node, nir.Linear | nir.Affine) and len(wire.shape) == 1:
                self.nodes[source] = nir.Affine(node.weight, _single(getattr(node, "bias", 0.0) + bias))
                return wire
            if isinstance(node, nir.Conv1d | nir.Conv2d) and channels is not None:
                node.bias = _single(node.bias + channels)
                return wire
        if len(wire.shape) == 1 and bias.size**2 <= MATRIX_MAX:
            eye = np.eye(bias.size, dtype=np.float32)
            return self.put(wanted, nir.Affine(eye, _single(bias)), wire, wire.shape)
        if channels is None or len(wire.shape) not in (2, 3):
            raise refused(f"{wanted!r} adds a constant to features of shape {wire.shape}", "one number per channel")
        ones = np.ones((len(channels), 1, *(1,) * (len(wire.shape) - 1)), np.float32)
        make = nir.Conv2d if len(wire.shape) == 3 else nir.Conv1d
        size: Any = wire.shape[1:] if len(wire.shape) == 3 else wire.shape[1]
        return self.put(wanted, make(size, ones, 1, 0, 1, len(channels), _single(channels)), wire, wire.shape)

    def added(self, wanted: str, left: Wire, right: Wire) -> Wire:
        """Sum two wires: whoever reads the sum reads the nodes of both."""
        import nir

        twice = tuple(source for source in right.sources if source in left.sources)
        if twice:
            copy = self.put(wanted, nir.Scale(np.ones(left.shape)), replace(right, sources=twice), left.shape)
            rest = tuple(source for source in right.sources if source not in twice)
            right = Wire((*rest, *copy.sources), right.shape)
            return Wire((*left.sources, *right.sources), left.shape)
        return Wire((*left.sources, *right.sources), left.shape, left.private and right.private)


def _by_channel(bias: Array) -> Array | None:
    rows = bias.reshape(bias.shape[0], -1) if bias.ndim else bias.reshape(1, 1)
    return rows[:, 0] if bool((rows == rows[:, :1]).all()) else None


def _single(array: Array) -> Array:
    return np.asarray(array, np.float32)
