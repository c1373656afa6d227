"""A traced model seen as a graph: its neurons' calls in order, and which nodes belong to one timestep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from hsnn.errors import UnsupportedError
from hsnn.frontends.live.opaque import OPAQUE
from hsnn.frontends.live.operators import RANDOM, name_of
from hsnn.frontends.live.spec import LiveNeuron, title

_COLLECT = {"aten.stack.default", "aten.cat.default"}


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """A traced model.

    Attributes:
        module: The module that was traced, for messages.
        nodes: Nodes in order.
        batch: Symbol of the batch.
        weights: Path and tensor of each node that is a weight.
        neurons: Foreign neurons by path.
        calls: Calls of each neuron, in order.
        steps: Timestep of each node that depends on one timestep of a neuron.
        outputs: What the model returns.
    """

    module: nn.Module
    nodes: tuple[fx.Node, ...]
    batch: Any
    weights: Mapping[fx.Node, tuple[str, Tensor]]
    neurons: Mapping[str, LiveNeuron]
    calls: Mapping[str, tuple[fx.Node, ...]]
    steps: Mapping[fx.Node, int]
    outputs: Any

    def title(self, path: str) -> str:
        """Return path and class of a module for a message."""
        return title(path, self.module.get_submodule(path))


def read(module: nn.Module, program: torch.export.ExportedProgram, neurons: Mapping[str, LiveNeuron]) -> Traced:
    """Read what torch traced.

    Raises:
        UnsupportedError: ``HSNN-F012``, if random numbers are drawn; ``HSNN-F092``, if neurons are not called equally
            often, or the time loop is not in the model.
    """
    signature = program.graph_signature
    nodes = tuple(program.graph.nodes)
    by_name = {node.name: node for node in nodes}
    held: dict[str, Any] = {**program.state_dict, **program.constants}
    paths: dict[str, str] = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    weights = {by_name[name]: (path, held[path]) for name, path in paths.items() if name in by_name}
    first = by_name[signature.user_inputs[0]]
    calls: dict[str, tuple[fx.Node, ...]] = {}
    for node in nodes:
        if node.target is OPAQUE:
            path = str(node.args[2])
            calls[path] = (*calls.get(path, ()), node)
    drawn = next((node for node in nodes if name_of(node) in RANDOM and node.users), None)
    if drawn is not None:
        raise UnsupportedError(
            "HSNN-F012",
            f"{name_of(drawn)} draws random numbers at every call of {type(module).__name__}",
            allowed="the same result for the same input",
            fix="encode with hsnn.nn.PoissonEncode(seed=...), or take spike trains, encoded outside, as the input",
        )
    outputs = next(node for node in nodes if node.op == "output").args[0]
    # Buffers that the model writes are returned in front of its own outputs.
    written = len(signature.output_specs) - len(signature.user_outputs)
    symbol = first.meta["val"].shape[0].node.expr
    stepwise = {path for path, neuron in neurons.items() if neuron.layout == "step"}
    traced = Traced(module, nodes, symbol, weights, neurons, calls, _steps(nodes, stepwise, calls), outputs[written:])
    _check_loop(traced)
    return traced


def timesteps_of(traced: Traced) -> int | None:
    """Return how often the neurons that see one timestep at a time are called; ``None`` without such neurons."""
    counts = {len(calls) for path, calls in traced.calls.items() if traced.neurons[path].layout == "step"}
    return counts.pop() if counts else None


def _check_loop(traced: Traced) -> None:
    counts = {path: len(calls) for path, calls in traced.calls.items() if traced.neurons[path].layout == "step"}
    if not counts:
        return
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{traced.title(path)} {count} times" for path, count in counts.items())
        raise UnsupportedError(
            "HSNN-F092",
            f"neurons are called a different number of times: {listed}",
            allowed="one call of each neuron at every timestep",
            fix="give every place where neurons stand a module of its own",
        )
    if set(counts.values()) == {1}:
        raise UnsupportedError(
            "HSNN-F092",
            f"{traced.title(next(iter(counts)))} is called once: the loop over time is not in the model's forward",
            allowed="a forward that runs all timesteps",
            fix="hsnn-compile --time steps=16 brings the loop in, hsnn.nn.OverTime(model, timesteps=16) in Python",
        )


def _steps(
    nodes: tuple[fx.Node, ...], stepwise: set[str], calls: Mapping[str, tuple[fx.Node, ...]]
) -> dict[fx.Node, int]:
    """Return the timestep of each node that depends on a neuron's call and does not collect several of them."""
    steps = {node: index for path in stepwise & calls.keys() for index, node in enumerate(calls[path])}
    for node in nodes:
        if node in steps or node.op != "call_function":
            continue
        before = [steps[item] for item in node.all_input_nodes if item in steps]
        if before and not (name_of(node) in _COLLECT and len(set(before)) > 1):
            steps[node] = max(before)
    return steps
