"""Affine values: what a network makes of spike trains between an encoder or neuron and the next neuron.

It may add, scale, convolve, pool, flatten and multiply them. All of that is affine: a value is a sum of terms,
each a chain of linear maps from one source, plus a bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.shape import Shape
from hsnn.passes.trains.linear import LinearMap, MatrixMap, ReshapeMap, SparseMap, diagonal, matrix_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """What one source contributes: a chain of maps, applied first to last, after a delay.

    Attributes:
        source: Name of the value that carries the spikes.
        maps: Chain of maps; empty for the spikes themselves.
        delay: Timesteps between sending and arriving.
    """

    source: str
    maps: tuple[LinearMap, ...] = ()
    delay: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """A value as a sum of terms and biases.

    Attributes:
        shape: Feature shape.
        terms: Contributions of spike trains.
        biases: By delay: a constant that is added from that timestep on, shape ``shape``.
    """

    shape: Shape
    terms: tuple[Term, ...]
    biases: Mapping[int, Float] = field(default_factory=dict)

    def then(self, linear: LinearMap) -> Affine:
        """Apply a map to every term and bias."""
        return Affine(
            linear.post,
            tuple(replace(term, maps=(*term.maps, linear)) for term in self.terms),
            {delay: _apply(linear, bias) for delay, bias in self.biases.items()},
        )

    def scaled(self, factor: Float) -> Affine:
        """Multiply every term and bias by a factor, float64, that broadcasts to the feature shape."""
        full = np.broadcast_to(np.asarray(factor, np.float64), self.shape)
        if np.all(full == 1.0):
            return self
        return Affine(
            self.shape,
            tuple(replace(term, maps=_scale_last(term.maps, full)) for term in self.terms),
            {delay: bias * full for delay, bias in self.biases.items()},
        )

    def plus(self, other: Affine) -> Affine:
        """Add another value of the same shape: one projection a branch, summed at the neuron."""
        return Affine(self.shape, (*self.terms, *other.terms), _sum_biases(self, other))

    def shifted(self, constant: Float) -> Affine:
        """Add a constant, float64, that broadcasts to the feature shape, from timestep 0 on."""
        bias = np.broadcast_to(np.asarray(constant, np.float64), self.shape)
        return self.plus(Affine(self.shape, (), {0: bias}))

    def delayed(self, steps: int) -> Affine:
        """Let everything arrive ``steps`` timesteps later."""
        return Affine(
            self.shape,
            tuple(replace(term, delay=term.delay + steps) for term in self.terms),
            {delay + steps: bias for delay, bias in self.biases.items()},
        )


def _apply(linear: LinearMap, values: Float) -> Float:
    """Apply a map to one array of the feature shape."""
    if isinstance(linear, ReshapeMap):
        return values.reshape(linear.post)
    product: Float = np.asarray(matrix_of(linear) @ values.reshape(-1), np.float64)
    return product.reshape(linear.post)


def _scale_last(maps: tuple[LinearMap, ...], factor: Float) -> tuple[LinearMap, ...]:
    """Multiply the outcome of a chain by a factor of its full feature shape, inside the last map if it can be."""
    if not maps:
        return (diagonal(factor),)
    *before, last = maps
    if isinstance(last, ReshapeMap):
        return (*_scale_last(tuple(before), factor.reshape(last.pre)), last)
    if isinstance(last, MatrixMap):
        return (*before, replace(last, weights=last.weights * factor.reshape(-1, 1)))
    if isinstance(last, SparseMap):
        return (*before, replace(last, weights=diagonal(factor).weights @ last.weights))
    per_channel = factor.reshape(factor.shape[0], -1)
    if np.all(per_channel == per_channel[:, :1]):
        return (*before, replace(last, weights=last.weights * per_channel[:, 0].reshape(-1, 1, 1, 1)))
    return (*maps, diagonal(factor))


def _sum_biases(left: Affine, right: Affine) -> dict[int, Float]:
    delays = sorted({*left.biases, *right.biases})
    zero = np.zeros(left.shape)
    return {delay: left.biases.get(delay, zero) + right.biases.get(delay, zero) for delay in delays}
