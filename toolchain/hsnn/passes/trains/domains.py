"""Which values of a hybrid model are spike trains, and which operators are misused on them.

Every value is a tensor or a :class:`Train`. Encoders start trains, decoders end them; neurons and
operators that treat every timestep alike keep them. Anything that would treat time as if it were a
feature is a :class:`Problem`, never a silent guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hsnn.ops import OPS
from hsnn.passes.trains.affine import Affine, Term
from hsnn.passes.trains.linear_ops import LINEAR_OPS
from hsnn.passes.trains.nodes import Train, constant, feature_shape, kind_of, train_operands, view_of
from hsnn.passes.trains.rule import NotLinearError

if TYPE_CHECKING:
    import onnx_ir as ir

ELEMENTWISE = frozenset(
    "Abs And Cast CastLike Ceil Clip Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish "
    "LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Not Or PRelu Pow Reciprocal Relu Round Selu Sigmoid "
    "Sign Softplus Softsign Sqrt Sub Sum Tanh ThresholdedRelu Where Xor".split()
)
"""Operators that act on every element alike; the host may run them on a spike train."""
PER_SAMPLE = frozenset(
    "AveragePool Conv ConvTranspose GlobalLpPool GlobalMaxPool GroupNormalization InstanceNormalization "
    "LayerNormalization LpPool MatMul MaxPool Pad Resize".split()
)
"""Operators that act on every sample alike; the host may run them where time and batch are merged."""
QUERIES = frozenset({"Shape", "Size"})
"""Operators that look at the shape of a value only."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A misuse of a spike train: why the model cannot be compiled.

    Attributes:
        code: Stable code.
        node: Name of the node.
        found: What is wrong, one sentence.
        fix: What to do instead.
    """

    code: str
    node: str
    found: str
    fix: str


@dataclass(frozen=True, slots=True)
class Domains:
    """Which values of a model are spike trains, and what its operators do with them.

    Attributes:
        trains: The spike trains by value name.
        linear: Names of nodes that could be synapses.
        refusals: For other nodes on spike trains: why they could not.
        problems: Every misuse.
    """

    trains: Mapping[str, Train]
    linear: frozenset[str]
    refusals: Mapping[str, str]
    problems: tuple[Problem, ...]


class _FoundError(Exception):
    """A misuse, on its way to the list of problems."""

    def __init__(self, code: str, found: str, fix: str) -> None:
        self.code, self.found, self.fix = code, found, fix
        super().__init__(found)


def infer_domains(graph: ir.Graph) -> Domains:
    """Type every value of a graph; nodes must have names and be in dataflow order."""
    trains: dict[str, Train] = {}
    linear: set[str] = set()
    refusals: dict[str, str] = {}
    problems: list[Problem] = []
    for node in graph:
        try:
            result = _type_node(node, trains, linear, refusals)
        except _FoundError as error:
            problems.append(Problem(error.code, _name(node), error.found, error.fix))
            result = _recover(node, trains)
        if result is not None:
            trains.update({output.name: result for output in node.outputs if output.name})
    return Domains(trains, frozenset(linear), refusals, tuple(problems))


def _name(node: ir.Node) -> str:
    return node.name or node.outputs[0].name or node.op_type


def _type_node(node: ir.Node, trains: Mapping[str, Train], linear: set[str], refusals: dict[str, str]) -> Train | None:
    """Type of a node's results, or None for tensors."""
    operands = [train for _, _, train in train_operands(node, trains)]
    kind = kind_of(node)
    if kind == "encoder":
        return _type_encoder(node, operands)
    if kind is not None:
        _require_train(node, operands)
    if not operands or node.op_type in QUERIES or kind == "decoder":
        return None
    if kind == "neuron":
        return _neuron_result(node, operands[0].timesteps)
    return _type_operator(node, trains, linear, refusals)


def _type_encoder(node: ir.Node, operands: list[Train]) -> Train:
    if operands:
        raise _FoundError(
            "HSNN-P013",
            f"encoder {_name(node)!r} gets a spike train",
            "decode it first, for example with hsnn.nn.RateDecode",
        )
    spec = OPS[node.op_type]
    attributes = {item.name: node.attributes[item.name].value for item in spec.attributes}
    timesteps = attributes["planes" if "planes" in attributes else "timesteps"]
    return Train(int(timesteps), binary=spec.is_binary(attributes, input_binary=False))


def _require_train(node: ir.Node, operands: list[Train]) -> None:
    if not operands:
        raise _FoundError(
            "HSNN-P011",
            f"{node.op_type} {_name(node)!r} gets a tensor, not a spike train",
            "put an encoder before it, such as hsnn.nn.RateEncode or hsnn.nn.DirectEncode",
        )
    wants_merged = node.op_type == "SplitTime"
    if node.op_type != "Delay" and operands[0].merged != wants_merged:
        raise _FoundError(
            "HSNN-P010",
            f"{node.op_type} {_name(node)!r} gets a train with time and batch {'apart' if wants_merged else 'merged'}",
            "use hsnn.nn.TimeDistributed around layers that work on one timestep",
        )


def _type_operator(node: ir.Node, trains: Mapping[str, Train], linear: set[str], refusals: dict[str, str]) -> Train:
    """Type an operator that is neither encoder, neuron nor decoder, and decide whether it is linear."""
    operands = list(train_operands(node, trains))
    first = operands[0][2]
    if any((train.timesteps, train.merged) != (first.timesteps, first.merged) for _, _, train in operands):
        steps = " and ".join(str(train.timesteps) for _, _, train in operands)
        raise _FoundError(
            "HSNN-P012",
            f"{node.op_type} {_name(node)!r} combines spike trains of {steps} timesteps or of different layout",
            "give both branches the same timesteps and wrap both or neither in hsnn.nn.TimeDistributed",
        )
    if node.op_type == "SplitTime" and node.attributes["timesteps"].as_int() != first.timesteps:
        raise _FoundError(
            "HSNN-P012",
            f"SplitTime {_name(node)!r} splits {first.timesteps} timesteps as {node.attributes['timesteps'].as_int()}",
            "use hsnn.nn.TimeDistributed, which keeps the number",
        )
    try:
        _try_rule(node, trains)
    except NotLinearError as error:
        if error.mixes_time or not _host_can(node, first):
            raise _FoundError(
                "HSNN-P010",
                f"{node.op_type} {_name(node)!r} uses a spike train as a tensor: {error}",
                "decode it first (hsnn.nn.RateDecode ...) or wrap the layer in hsnn.nn.TimeDistributed",
            ) from error
        refusals[_name(node)] = str(error)
        return _result(node, first, keeps_binary=node.op_type in ("MaxPool", "GlobalMaxPool"))
    linear.add(_name(node))
    return _result(node, first, keeps_binary=(node.domain, node.op_type) not in _ARITHMETIC)


_ARITHMETIC = frozenset(
    ("", op)
    for op in (
        "Add Sub Mul Div Neg Conv ConvTranspose Gemm MatMul AveragePool GlobalAveragePool ReduceMean ReduceSum "
        "BatchNormalization"
    ).split()
)


def _result(node: ir.Node, train: Train, *, keeps_binary: bool) -> Train:
    merged = {"MergeTime": True, "SplitTime": False}.get(node.op_type, train.merged)
    return replace(train, merged=merged, binary=train.binary and keeps_binary)


def _try_rule(node: ir.Node, trains: Mapping[str, Train]) -> None:
    rule = LINEAR_OPS.get((node.domain, node.op_type))
    if rule is None:
        raise NotLinearError("it is not linear")
    affine = {
        position: Affine(feature_shape(value, train), (Term(value.name or ""),))
        for position, value, train in train_operands(node, trains)
    }
    for position, value in enumerate(node.inputs):
        if value is not None and position not in affine and constant(value) is None and not _is_shape_operand(node):
            raise NotLinearError("it combines a spike train with a computed tensor", mixes_time=True)
    rule(view_of(node, trains, affine))


def _is_shape_operand(node: ir.Node) -> bool:
    """Whether operands beyond the first only say the new shape, which the value's own shape says too."""
    return node.op_type in ("Reshape", "Squeeze", "Unsqueeze", "Dropout", "Resize")


def _host_can(node: ir.Node, train: Train) -> bool:
    if node.domain != "":
        return False
    if node.op_type in ELEMENTWISE:
        return True
    if node.op_type in ("Softmax", "LogSoftmax"):
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else -1
        rank = len(node.inputs[0].shape or ()) if node.inputs[0] is not None else 0
        return axis % max(rank, 1) >= train.lead
    return train.merged and node.op_type in PER_SAMPLE


def _recover(node: ir.Node, trains: Mapping[str, Train]) -> Train | None:
    """Type the results of a misused node as what was meant, so that one mistake is one problem."""
    if kind_of(node) == "encoder":
        return _type_encoder(node, [])
    if kind_of(node) == "neuron":
        return _neuron_result(node, next((train.timesteps for _, _, train in train_operands(node, trains)), 1))
    return None


def _neuron_result(node: ir.Node, timesteps: int) -> Train:
    spec = OPS[node.op_type]
    attributes = {item.name: node.attributes[item.name].value for item in spec.attributes}
    return Train(timesteps, binary=spec.is_binary(attributes, input_binary=False), voltage=spec.values == "real")
