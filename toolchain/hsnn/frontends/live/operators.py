"""Which torch operators treat every sample alike, and in what way; by the name of the ATen operator."""

from __future__ import annotations

import operator
from typing import Any

from torch import fx

RESHAPES = {
    "aten.view.default",
    "aten.reshape.default",
    "aten._unsafe_view.default",
    "aten.flatten.using_ints",
    "aten.unflatten.int",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
    "aten.unsqueeze.default",
}
"""They rearrange axes that lie side by side and keep the order of the elements."""

PASS_ON = {
    "aten.detach.default",
    "aten.detach_.default",
    "aten.alias.default",
    "aten.contiguous.default",
    "aten.clone.default",
    "aten.lift_fresh_copy.default",
    "aten.dropout.default",
    "aten.feature_dropout.default",
    "aten.alpha_dropout.default",
}
"""They return what they are given; dropout does in eval mode."""

PERMUTES = {"aten.transpose.int", "aten.permute.default", "aten.swapaxes.default", "aten.movedim.int", "aten.t.default"}

POINTWISE = {
    f"aten.{name}"
    for name in """
    abs.default add.Tensor add_.Tensor add.Scalar bitwise_not.default ceil.default clamp.default
    clamp_min.default clamp_max.default cos.default div.Tensor div_.Tensor div.Scalar elu.default eq.Scalar
    eq.Tensor erf.default exp.default floor.default ge.Scalar ge.Tensor gelu.default gt.Scalar gt.Tensor
    hardsigmoid.default hardswish.default hardtanh.default le.Scalar le.Tensor leaky_relu.default log.default
    logical_and.default logical_not.default logical_or.default lt.Scalar lt.Tensor maximum.default
    minimum.default mish.default mul.Tensor mul_.Tensor mul.Scalar ne.Scalar ne.Tensor neg.default
    pow.Tensor_Scalar prelu.default reciprocal.default relu.default relu_.default relu6.default round.default
    rsub.Scalar rsub.Tensor selu.default sigmoid.default sign.default silu.default sin.default softplus.default
    sqrt.default sub.Tensor sub_.Tensor sub.Scalar tanh.default to.dtype where.self linear.default
    """.split()
}
"""Element by element, broadcasting from the last axis; ``linear`` works on the last axis and fits in here."""

RANDOM = {
    f"aten.{name}"
    for name in """
    bernoulli.default bernoulli.p bernoulli_.float multinomial.default normal.Tensor_Tensor normal_.default
    poisson.default rand.default rand_like.default randint.default randint_like.default randn.default randn_like.default
    random_.default randperm.default uniform_.default
    """.split()
}
"""They draw random numbers."""

REDUCTIONS = {"aten.mean.dim", "aten.sum.dim_IntList", "aten.amax.default"}
ALONG_AN_AXIS = {"aten.softmax.int": 1, "aten.log_softmax.int": 1, "aten.cat.default": 1, "aten.narrow.default": 1}
"""Position of the argument that names the axis."""

_END = 2**31
"""Ends of slices beyond this stand for the end of the axis."""

ADDITIONS = {"aten.add.Tensor", "aten.add_.Tensor"}


def name_of(node: fx.Node) -> str:
    """Return the name of a node's operator, such as ``aten.view.default``."""
    return "getitem" if node.target is operator.getitem else str(node.target)


def passes_on(node: fx.Node) -> bool:
    """Tell whether a node returns what it is given: also ``x[:]``, which an index such as ``x[:, t]`` brings."""
    name = name_of(node)
    if name == "aten.slice.Tensor":
        start, stop, step = argument(node, 2, "start", 0), argument(node, 3, "end", None), argument(node, 4, "step", 1)
        return start in (0, None) and (stop is None or (isinstance(stop, int) and stop >= _END)) and step == 1
    return name in PASS_ON


def argument(node: fx.Node, position: int, name: str, default: Any) -> Any:
    """Return an argument that is given by position or by name."""
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)
