"""Run a hybrid model whole, as it was before it was cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hsnn.ir.plan import HostStage
from hsnn.passes.simulation.float_run import load_host

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.hybrid import HybridModel

    Array = NDArray[Any]


def run_whole(hybrid: HybridModel, samples: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
    """Run the model on ONNX Runtime, all samples as one batch.

    Args:
        hybrid: The model.
        samples: For each model input: the samples, batch axis first.
        wanted: Names of the values to return; what only others need is not computed.

    Returns:
        The wanted values, and the samples.
    """
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(hybrid.proto)
    known = {info.name: info for info in (*model.graph.value_info, *model.graph.output)}
    del model.graph.output[:]
    model.graph.output.extend(known[name] for name in dict.fromkeys(wanted) if name not in samples)
    _prune(model.graph)
    names = tuple(output.name for output in model.graph.output)
    if not names:
        return dict(samples)
    inputs = {item.name: samples[item.name] for item in model.graph.input if item.name in samples}
    executable = load_host(HostStage("hybrid", model.SerializeToString(), tuple(inputs), names))
    return {**samples, **executable.run(inputs)}


def _prune(graph: Any) -> None:
    """Remove nodes and inputs that no output needs; nodes stand in an order in which they can run."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_reads(node))
    del graph.node[:]
    graph.node.extend(reversed(kept))
    inputs = [item for item in graph.input if item.name in needed]
    del graph.input[:]
    graph.input.extend(inputs)


def _reads(node: Any) -> set[str]:
    """Names that a node reads, and those that its subgraphs may read from around them."""
    names = set(node.input)
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            for inner in graph.node:
                names |= _reads(inner)
            names.update(output.name for output in graph.output)
    return names
