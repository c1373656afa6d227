"""Rules of sums, products, matrices and batch norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.shape import Shape, size
from hsnn.passes.trains.affine import Affine
from hsnn.passes.trains.linear import MatrixMap, SparseMap, selection
from hsnn.passes.trains.rule import NotLinearError, Rule, View, require_merged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]


def _add(view: View) -> Affine:
    return _sum(view, 1.0)


def _subtract(view: View) -> Affine:
    return _sum(view, -1.0)


def _sum(view: View, sign: float) -> Affine:
    total: Affine | None = None
    for position, factor in ((0, 1.0), (1, sign)):
        if position not in view.affine:
            continue
        value = view.affine[position]
        if value.shape != view.shape:
            value = _broadcast(value, view.shape)
        value = value.scaled(np.asarray(factor))
        total = value if total is None else total.plus(value)
    if total is None:
        raise NotLinearError("no operand is a spike train")
    for position, factor in ((0, 1.0), (1, sign)):
        if position not in view.affine:
            total = total.shifted(factor * view.feature_constant(position))
    return total


def _broadcast(value: Affine, shape: Shape) -> Affine:
    index = np.broadcast_to(np.arange(size(value.shape)).reshape(value.shape), shape)
    return value.then(selection(value.shape, index))


def _negate(view: View) -> Affine:
    return view.spikes().scaled(np.asarray(-1.0))


def _multiply(view: View) -> Affine:
    if len(view.affine) == 2:
        raise NotLinearError("it multiplies two spike trains")
    (position,) = view.affine
    return _scaled_to(view, view.affine[position], view.feature_constant(1 - position))


def _divide(view: View) -> Affine:
    if 1 in view.affine:
        raise NotLinearError("it divides by a spike train")
    return _scaled_to(view, view.spikes(), 1.0 / view.feature_constant(1))


def _scaled_to(view: View, value: Affine, factor: Float) -> Affine:
    return (value if value.shape == view.shape else _broadcast(value, view.shape)).scaled(factor)


def _matmul(view: View) -> Affine:
    value, weights = view.spikes(), np.asarray(view.constant(1), np.float64)
    if weights.ndim != 2:
        raise NotLinearError("its weights are not a matrix")
    return value.then(_rowwise(value.shape, weights.T))


def _gemm(view: View) -> Affine:
    if view.lead != 1 or view.int_attribute("transA", 0):
        raise NotLinearError("it transposes or mixes time and batch", mixes_time=True)
    weights = np.asarray(view.constant(1), np.float64) * view.float_attribute("alpha", 1.0)
    value = view.spikes()
    result = value.then(_rowwise(value.shape, weights if view.int_attribute("transB", 0) else weights.T))
    if len(view.node.inputs) < 3 or view.node.inputs[2] is None:
        return result
    return result.shifted(view.feature_constant(2) * view.float_attribute("beta", 1.0))


def _rowwise(pre: Shape, weights: Float) -> MatrixMap | SparseMap:
    """Map that multiplies the last feature axis by ``weights`` (post, pre)."""
    post = (*pre[:-1], weights.shape[0])
    if len(pre) == 1:
        return MatrixMap(np.ascontiguousarray(weights), pre, post)
    from scipy.sparse import block_diag, csr_array

    return SparseMap(csr_array(block_diag([weights] * size(pre[:-1]))), pre, post)


def _batch_normalization(view: View) -> Affine:
    """Fold ``(x - mean) * gamma / sqrt(var + epsilon) + beta`` per channel."""
    require_merged(view)
    gamma, beta, mean, variance = (np.asarray(view.constant(i), np.float64) for i in range(1, 5))
    if view.int_attribute("training_mode", 0):
        raise NotLinearError("it is in training mode")
    factor = gamma / np.sqrt(variance + view.float_attribute("epsilon", 1e-5))
    channel = (-1, *(1,) * (len(view.shape) - 1))
    return view.spikes().scaled(factor.reshape(channel)).shifted((beta - mean * factor).reshape(channel))


ARITHMETIC_RULES: Mapping[tuple[str, str], Rule] = {
    ("", "Add"): _add,
    ("", "BatchNormalization"): _batch_normalization,
    ("", "Div"): _divide,
    ("", "Gemm"): _gemm,
    ("", "MatMul"): _matmul,
    ("", "Mul"): _multiply,
    ("", "Neg"): _negate,
    ("", "Sub"): _subtract,
}
