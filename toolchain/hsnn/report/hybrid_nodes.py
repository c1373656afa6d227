"""Which values every operator of the hybrid model reads and makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class HybridNode:
    """Names of the values that an operator reads and makes."""

    reads: tuple[str, ...]
    makes: tuple[str, ...]


def hybrid_nodes(model: bytes | None) -> Mapping[str, HybridNode]:
    """Read the dataflow of a hybrid model.

    Args:
        model: Serialized ONNX model, or None if there is none.

    Returns:
        For the name of each node of the main graph: its values. What a subgraph takes from outside
        counts as read by the node that holds it.
    """
    if model is None:
        return {}
    import onnx

    graph = onnx.load_model_from_string(model).graph
    return {node.name: HybridNode(tuple(dict.fromkeys(_reads(node))), tuple(node.output)) for node in graph.node}


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    yield from (value for value in node.input if value)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            own = {value for item in graph.node for value in item.output}
            own |= {value.name for value in (*graph.input, *graph.initializer)}
            yield from (value for item in graph.node for value in _reads(item) if value not in own)
