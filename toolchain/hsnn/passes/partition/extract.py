"""Cut a part out of the hybrid model as a plain ONNX model of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsnn.ir.plan import HostStage
from hsnn.ops.functions import inline_functions

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

    from hsnn.ir.hybrid import HybridModel


def extract_model(
    hybrid: HybridModel, nodes: tuple[ir.Node, ...], *, wanted: frozenset[str], name: str
) -> HostStage | None:
    """Cut out the given nodes.

    Args:
        hybrid: The model they are part of.
        nodes: Nodes to run, in dataflow order.
        wanted: Names of values that others read; those that these nodes make become outputs.
        name: Name of the segment.

    Returns:
        The segment with every hsnn operator replaced by its ONNX body, or None if nothing is wanted.
    """
    import onnx
    from onnx import helper

    chosen = {node.name for node in nodes}
    model = hybrid.proto
    kept = [node for node in model.graph.node if node.name in chosen]
    made = {output for node in kept for output in node.output}
    outputs = [value for node in kept for value in node.output if value in wanted]
    if not outputs:
        return None
    read = dict.fromkeys(value for node in kept for value in _reads(node) if value not in made)
    constants = [tensor for tensor in model.graph.initializer if tensor.name in read]
    fixed = {tensor.name for tensor in constants}
    inputs = [value for value in read if value not in fixed]
    types = {info.name: info for info in (*model.graph.value_info, *model.graph.input, *model.graph.output)}
    graph = helper.make_graph(
        kept,
        name,
        [types[value] for value in inputs],
        [types[value] for value in outputs],
        initializer=constants,
        value_info=[types[value] for value in sorted(made) if value in types and value not in outputs],
    )
    cut = helper.make_model(
        graph, opset_imports=model.opset_import, functions=model.functions, ir_version=model.ir_version
    )
    # ONNX Runtime before 1.24 wants the shapes inside of loops spelled out.
    plain = onnx.shape_inference.infer_shapes(inline_functions(cut), data_prop=True)
    onnx.checker.check_model(plain)
    return HostStage(name, plain.SerializeToString(deterministic=True), tuple(inputs), tuple(outputs))


def _reads(node: onnx.NodeProto) -> list[str]:
    """Names that a node reads, with those that its subgraphs take from outside."""
    names = [value for value in node.input if value]
    for attribute in node.attribute:
        if attribute.HasField("g"):
            own = {output for item in attribute.g.node for output in item.output}
            own |= {value.name for value in (*attribute.g.input, *attribute.g.initializer)}
            names += [value for item in attribute.g.node for value in _reads(item) if value not in own]
    return names
