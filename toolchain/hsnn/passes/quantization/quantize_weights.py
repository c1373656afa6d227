"""Round weights to mantissas that share an exponent, and measure what that changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import assert_never

from hsnn.ir.arithmetic import truncate_weights
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.spiking import FloatConv, FloatDense, FloatProjection, FloatSparse
from hsnn.passes.simulation.synapses import weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]

MANTISSA_MIN, MANTISSA_MAX = -256, 254
"""Effective weights of mixed sign and 8 bits are even integers in this range."""


@dataclass(frozen=True, slots=True)
class ProjectionError:
    """What rounding the weights of a projection changes.

    Attributes:
        name: Name of the projection.
        weight_exp: Left shift of its sums.
        unit: Weight, in units of the model, that an effective weight of 1 stands for.
        snr_db: Signal to noise ratio of the weights in decibels; None if no weight changed.
        largest: Largest rounding error, in units of the model.
        rms: Root mean square of the rounding errors, likewise.
        vanished: Number of weights other than 0 that became 0.
        peak: Largest magnitude of an effective weight; 64 to 256 where the mantissa is well filled.
    """

    name: str
    weight_exp: int
    unit: float
    snr_db: float | None
    largest: float
    rms: float
    vanished: int
    peak: int


def weight_exponent(low: float, high: float) -> int:
    """Return the smallest exponent, 0 or more, at which the range of scaled weights fits the mantissa.

    Args:
        low: Smallest weight, in units of 64 of the integer voltage.
        high: Largest weight, likewise.
    """
    # Half a step beyond the range still rounds into it; a tie at the top is clipped at no extra error.
    excess = max(high / (MANTISSA_MAX + 1), low / (MANTISSA_MIN - 1), 0.0)
    return max(0, math.ceil(math.log2(excess))) if excess > 0.0 else 0


def round_weights(weights: Float, unit: float) -> tuple[Float, int]:
    """Round weights to even mantissas.

    Args:
        weights: Any shape.
        unit: Mantissa units at exponent 0 per unit of weight: ``scale / 64``.

    Returns:
        Mantissas, float64 with integer values, same shape; and the exponent.
    """
    low, high = (float(weights.min()), float(weights.max())) if weights.size else (0.0, 0.0)
    exponent = weight_exponent(low * unit, high * unit)
    mantissa = 2.0 * np.rint(weights * (unit * 2.0 ** -(exponent + 1)))
    return np.clip(mantissa, MANTISSA_MIN, MANTISSA_MAX), exponent


def quantize_projection(
    projection: FloatProjection, scale: float, *, payload_scale: float
) -> tuple[Projection, ProjectionError]:
    """Round the weights of a projection.

    Args:
        projection: Synapses.
        scale: Integer voltage units per unit of the receiving population's voltage.
        payload_scale: Value of one unit of what the source sends.

    Returns:
        Integer synapses and their errors.
    """
    weights = weights_of(projection).astype(np.float64)
    unit = scale * payload_scale / 64.0
    mantissa, exponent = round_weights(weights, unit)
    effective = truncate_weights(mantissa.astype(np.int32), "mixed").astype(np.int16)
    errors = _measure(projection.name, weights, effective, unit=2.0**exponent / unit, exponent=exponent)
    return _build(projection, effective, exponent), errors


def _build(projection: FloatProjection, weights: NDArray[np.int16], exponent: int) -> Projection:
    name, pre, post, delay = projection.name, projection.pre, projection.post, projection.delay
    match projection:
        case FloatDense():
            return DenseProjection(name, pre, post, weights, exponent, delay)
        case FloatConv():
            return ConvProjection(
                name,
                pre,
                post,
                weights,
                projection.stride,
                projection.padding,
                projection.dilation,
                projection.groups,
                exponent,
                delay,
            )
        case FloatSparse():
            indices, indptr = projection.indices.astype(np.int32), projection.indptr.astype(np.int32)
            return SparseProjection(name, pre, post, weights, indices, indptr, exponent, delay)
        case _:
            assert_never(projection)


def _measure(name: str, weights: Float, effective: NDArray[np.int16], *, unit: float, exponent: int) -> ProjectionError:
    if not weights.size:
        return ProjectionError(name, exponent, unit, None, 0.0, 0.0, 0, 0)
    errors = np.abs(effective * unit - weights)
    # Rounding errors of float64 itself are no errors of quantization.
    errors[errors <= 1e-12 * np.abs(weights)] = 0.0
    signal, noise = float(np.mean(weights * weights)), float(np.mean(errors * errors))
    return ProjectionError(
        name,
        exponent,
        unit,
        10.0 * math.log10(signal / noise) if noise > 0.0 else None,
        float(errors.max()),
        math.sqrt(noise),
        int(np.count_nonzero((weights != 0.0) & (effective == 0))),
        int(np.max(np.abs(effective.astype(np.int32)))),
    )
