"""The last step of every front end: check a hybrid model, attach the operators' functions, infer shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import onnx
import onnx.checker
import onnx.numpy_helper
import onnx.shape_inference
from numpy.typing import NDArray

from hsnn.errors import UnsupportedError
from hsnn.frontends.tensors import check_sizes
from hsnn.ir.hybrid import HybridModel, wrap
from hsnn.ir.shape import broadcasts
from hsnn.ops import DOMAIN, OPS, AttributeValue, OpSpec
from hsnn.ops.functions import attach_functions, used_operators
from hsnn.ops.shapes import infer_shapes, known_types, node_attributes

Array = NDArray[np.float32]
Shape = tuple[int | None, ...]

_FRACTIONS = ("current_decay", "voltage_decay", "threshold_decay", "refractory_decay")


def finish(model: onnx.ModelProto) -> HybridModel:
    """Return the checked hybrid model.

    Args:
        model: Main graph with hsnn nodes; every node has a unique name. It is not changed.

    Raises:
        UnsupportedError: ``HSNN-F021``, if ONNX's own checker refuses it; ``HSNN-F023``, if an hsnn node
            misses an attribute or has one that is unknown or out of range; ``HSNN-F025``, if nothing spikes;
            ``HSNN-F026``, if the batch axis of an input is fixed; ``HSNN-F027``, if the shape of a value does
            not follow; ``HSNN-F028``, if the input or a parameter of an hsnn node does not suit it;
            ``HSNN-F029``, if an hsnn node is inside a loop or branch; ``HSNN-F032``, if an output is a constant;
            ``HSNN-F100``, if a value is too large;
            ``HSNN-F030`` or ``HSNN-F031``, see
            :func:`~hsnn.ops.functions.attach_functions`.
    """
    complete = attach_functions(model)
    _check_subgraphs(model.graph)
    nodes = [node for node in model.graph.node if node.domain == DOMAIN]
    for node in nodes:
        check_attributes(node)
    if not any(OPS[node.op_type].kind == "neuron" for node in nodes):
        raise UnsupportedError(
            "HSNN-F025",
            "nothing in the model is spiking: it has no neuron of the hsnn domain",
            allowed="at least one " + ", ".join(op.name for op in OPS.values() if op.kind == "neuron"),
            fix="build the spiking part from hsnn.nn layers, tell the equation of neuron classes of your own with "
            "hsnn.register_neuron (docs/interop.md), or make neurons of the rectified linear units of a plain network: "
            "hsnn-compile NETWORK.onnx --spike '*'",
        )
    _check_outputs(complete.graph)
    _check_batch_axis(complete.graph)
    _check_validity(complete, full=False)
    with _valid():
        shaped = infer_shapes(complete)
    _check_shapes(shaped.graph)
    check_sizes(shaped.graph)
    hybrid = wrap(shaped)
    constants = {item.name: item for item in shaped.graph.initializer}
    types = known_types(shaped.graph)
    for node in nodes:
        _check_operands(node, hybrid.shapes, constants, types)
    _check_validity(shaped, full=True)
    return hybrid


def check_attributes(node: onnx.NodeProto) -> None:
    """Check that an hsnn node has exactly the attributes of its operator, with values that it allows.

    Raises:
        UnsupportedError: ``HSNN-F023``, naming node and attribute.
    """
    op = OPS[node.op_type]
    found = node_attributes(node)
    known = {item.name for item in op.attributes}
    title = f"node {node.name!r} ({op.name})"
    missing, unknown = sorted(known - found.keys()), sorted(found.keys() - known)
    if missing or unknown:
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has unknown {', '.join(unknown)}"] * bool(unknown)
        raise UnsupportedError(
            "HSNN-F023",
            f"{title} {' and '.join(parts)}",
            allowed=f"exactly the attributes {', '.join(item.name for item in op.attributes) or '(none)'}",
        )
    for item in op.attributes:
        if not item.accepts(found[item.name]):
            raise UnsupportedError(
                "HSNN-F023", f"attribute {item.name} of {title} is {found[item.name]!r}", allowed=item.allowed
            )
    if len(node.input) != len(op.inputs) or not all(node.input) or len(node.output) != 1:
        raise UnsupportedError(
            "HSNN-F023",
            f"{title} has {len(node.input)} inputs and {len(node.output)} outputs",
            allowed=f"the inputs {', '.join(op.inputs)} and one output",
        )


def _check_validity(model: onnx.ModelProto, *, full: bool) -> None:
    with _valid():
        onnx.checker.check_model(model, full_check=full)


@contextmanager
def _valid() -> Iterator[None]:
    """Give what ONNX itself refuses its code."""
    try:
        yield
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise UnsupportedError(
            "HSNN-F021",
            f"the model is not valid ONNX: {error}",
            fix="export it again, with an exporter whose files onnx.checker takes",
        ) from error


def _check_subgraphs(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        inside = set[str]().union(
            *(used_operators(item.g) for item in node.attribute if item.type == onnx.AttributeProto.GRAPH)
        )
        if inside:
            raise UnsupportedError(
                "HSNN-F029",
                f"node {node.name!r} ({node.op_type}) has {', '.join(sorted(inside))} inside",
                allowed="operators of the hsnn domain in the main graph only",
                fix="take them out of the loop or branch",
            )


def _check_outputs(graph: onnx.GraphProto) -> None:
    constants = {item.name for item in graph.initializer} - {item.name for item in graph.input}
    places = [place for place, item in enumerate(graph.output) if item.name in constants]
    if places:
        raise UnsupportedError(
            "HSNN-F032",
            f"output {places[0]} of the model, counted from 0, is a constant: it depends on no input",
            allowed="outputs that are computed from inputs",
            fix="leave it out; hsnn-compile --outputs and hsnn.nn.KeepOutputs choose the outputs of a torch model",
        )


def _check_batch_axis(graph: onnx.GraphProto) -> None:
    initializers = {item.name for item in graph.initializer}
    for item in graph.input:
        if item.name in initializers:
            continue
        dims = item.type.tensor_type.shape.dim
        if not dims or dims[0].HasField("dim_value"):
            found = f"fixed at {dims[0].dim_value}" if dims else "missing"
            raise UnsupportedError(
                "HSNN-F026",
                f"the batch axis of input {item.name!r} is {found}",
                allowed="a first axis with a name instead of a number",
                fix="export with dynamic_shapes that leave axis 0 of every input free",
            )


def _check_shapes(graph: onnx.GraphProto) -> None:
    types = known_types(graph)
    for node in graph.node:
        for name in node.output:
            if name and name not in types:
                raise UnsupportedError(
                    "HSNN-F027",
                    f"the shape of value {name!r} ({node.op_type} {node.name!r}) does not follow from the inputs",
                    allowed="static shapes behind the batch axis",
                    fix="give every input its shape, or run onnx.shape_inference and simplify shape computations",
                )


def _check_operands(
    node: onnx.NodeProto,
    shapes: Mapping[str, Shape],
    constants: Mapping[str, onnx.TensorProto],
    types: Mapping[str, onnx.TypeProto],
) -> None:
    op, attributes = OPS[node.op_type], node_attributes(node)
    if types[node.input[0]].tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise _unsuited(node, f"takes {node.input[0]!r}, which is not float32", "float32")
    shape = shapes[node.input[0]]
    lead = 1 if op.kind == "encoder" or op.name == "SplitTime" else 2
    axes = "(batch, *feature)" if lead == 1 else "(timestep, batch, *feature)"
    if op.name == "TrainEncode":
        lead, axes = 2, f"(batch, {attributes['timesteps']}, *feature)"
    if len(shape) < lead + (op.kind in ("encoder", "neuron")) or None in shape[lead:]:
        raise _unsuited(node, f"takes {node.input[0]!r} of shape {shape}", f"{axes} with static features")
    if op.name == "TrainEncode":
        if shape[1] != attributes["timesteps"]:
            raise _unsuited(node, f"takes {node.input[0]!r} of shape {shape}", axes)
    elif lead == 2 and shape[0] is None:
        raise _unsuited(node, f"takes {node.input[0]!r}, whose number of timesteps is not known", axes)
    _check_times(node, shape, attributes)
    shape = _spiking_shape(node, op, shape)
    for name, value in zip(op.inputs[1:], node.input[1:], strict=True):
        if value not in constants:
            raise _unsuited(node, f"has {name} {value!r}, which is computed", "a constant")
        _check_parameter(node, op, name, _array(constants[value]), shape)


def _spiking_shape(node: onnx.NodeProto, op: OpSpec, shape: Shape) -> Shape:
    """Shape of what parameters broadcast to: that of the input, or of as many channels as resonators have."""
    if op.shape_rule != "half_features":
        return shape
    channels = shape[2] or 0
    if channels % 2:
        raise _unsuited(node, f"takes {node.input[0]!r} of shape {shape}", "an even number of channels: parts in turn")
    return (*shape[:2], channels // 2, *shape[3:])


def _array(tensor: onnx.TensorProto) -> Array:
    try:
        return onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as error:
        raise UnsupportedError(
            "HSNN-F021", f"constant {tensor.name!r} is damaged: {error}", fix="export it again"
        ) from error


def _check_times(node: onnx.NodeProto, shape: Shape, attributes: Mapping[str, AttributeValue]) -> None:
    timesteps = shape[0]
    if node.op_type == "WindowSumDecode" and not _number(attributes["start"]) < _number(attributes["stop"]) <= (
        timesteps or 0
    ):
        raise _unsuited(
            node, f"sums from {attributes['start']} to {attributes['stop']}", f"start < stop <= {timesteps}"
        )
    if node.op_type == "RateEncode" and _number(attributes["silent"]) > _number(attributes["timesteps"]):
        raise _unsuited(node, f"has {attributes['silent']} silent timesteps", f"at most {attributes['timesteps']}")
    if node.op_type == "BitPlaneEncode" and not _number(attributes["low"]) < _number(attributes["high"]):
        raise _unsuited(node, f"has low {attributes['low']} and high {attributes['high']}", "low below high")
    if node.op_type == "WeightedSumDecode" and attributes["divisor"] == 0:
        raise _unsuited(node, "has divisor 0", "not 0")


def _check_parameter(node: onnx.NodeProto, op: OpSpec, name: str, value: Array, shape: Shape) -> None:
    if value.dtype != np.float32 or not bool(np.isfinite(value).all()):
        raise _unsuited(node, f"has {name} of type {value.dtype} or not finite", "finite float32")
    if name == "weights":
        expected: tuple[Shape, ...] = ((shape[0],),)
    elif name == "recurrent_weight":
        expected = ((shape[-1], shape[-1]),) if len(shape) == 3 else ()
    else:
        expected = (value.shape,) if broadcasts(value.shape, shape[2:]) else ()
    if value.shape not in expected:
        raise _unsuited(node, f"has {name} of shape {value.shape} for features {shape[2:]}", "a shape that fits them")
    if name in ("cos_decay", "sin_decay") and bool((np.abs(value) > 1.0).any()):
        raise _unsuited(node, f"has {name} {value.min():g} to {value.max():g}", "-1 to 1")
    low, high = (0.0, 1.0) if name in _FRACTIONS else (-np.inf, np.inf)
    if bool(((value < low) | (value > high)).any()):
        raise _unsuited(node, f"has {name} {value.min():g} to {value.max():g}", "0 to 1: the fraction lost per step")
    if name == "voltage_decay" and _resets_late(node) and bool((value == 1).any()):
        raise _unsuited(node, "has voltage_decay 1 and reset subtract_late", "a voltage_decay below 1 with that reset")
    sends_changes = node.op_type.endswith("Delta")
    if name == "threshold" and not bool((value >= 0).all() if sends_changes else (value > 0).all()):
        raise _unsuited(node, f"has threshold {value.min():g}", "0 or more" if sends_changes else "above 0")


def _resets_late(node: onnx.NodeProto) -> bool:
    return node_attributes(node).get("reset") == "subtract_late"


def _unsuited(node: onnx.NodeProto, found: str, allowed: str) -> UnsupportedError:
    return UnsupportedError("HSNN-F028", f"node {node.name!r} ({node.op_type}) {found}", allowed=allowed)


def _number(value: AttributeValue) -> float:
    return float(value)
