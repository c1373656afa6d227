"""Decide where weighted sums over time are decoded: on the host, or by leaky integrators on the chip.

A decoder whose weights grow by one factor, ``w[t] = w[T - 1] * keep ** (T - 1 - t)`` with ``0 < keep <= 1``, is what
an integrator that keeps that share of its voltage holds at the last timestep: the matching weights 1, 2, ..., 128 of
bit planes are one with ``keep = 1/2``. Weights that fall, as HAS-8 was published with, would need a voltage that
grows; Loihi's only decays.

Decoded on the host, every spike leaves the chip; on the chip, one value a neuron does, for one more neuron each. The
cheaper way is the one that moves less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from hsnn.ir.hybrid import HybridModel, module_of, wrap
from hsnn.ops import DOMAIN
from hsnn.ops.functions import attach_functions
from hsnn.passes.simulation.whole_run import run_whole
from hsnn.passes.trains.domains import Domains, infer_domains
from hsnn.passes.trains.nodes import constant, kind_of

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir
    from numpy.typing import NDArray

    from hsnn.ir.plan import Plan

    Array = NDArray[Any]

DecodeSide: TypeAlias = Literal["auto", "host", "chip"]
COUNTED = 32
"""Samples on which spikes are counted."""
TOLERANCE = 1e-6
"""How far weights may be, relatively, from growing by one factor."""


@dataclass(frozen=True, slots=True)
class DecoderChoice:
    """Where one decoder works.

    Attributes:
        node: Name of its node.
        module: Path of its torch module, or empty.
        place: ``host`` or ``chip``.
        values: Elements that it decodes: integrators that it would take.
        spikes: Spikes that it gets from the chip in a sample, mean; None where they did not matter.
        reason: Why it works there.
    """

    node: str
    module: str
    place: Literal["host", "chip"]
    values: int
    spikes: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Decoder:
    """A weighted sum; ``keep`` is None where no integrator computes it, and ``refusal`` says why."""

    node: str
    module: str
    values: int
    sources: tuple[str, ...]
    keep: float | None
    refusal: str


def place_decoders(
    hybrid: HybridModel, samples: Mapping[str, Array], side: DecodeSide
) -> tuple[HybridModel, tuple[DecoderChoice, ...]]:
    """Put integrators in the place of the decoders that are better off on the chip.

    Args:
        hybrid: The model; it is not changed.
        samples: For each model input: real samples, batch axis first.
        side: ``host`` leaves all decoders there, ``chip`` moves all that can be, ``auto`` those that move less.

    Returns:
        The model, and a choice for each weighted sum over time.
    """
    if side == "host":
        return hybrid, ()
    decoders = tuple(_decoders(hybrid))
    able = [item for item in decoders if item.keep is not None]
    counts = _spikes(hybrid, samples, able) if side == "auto" and able else {}
    choices = tuple(_choose(item, counts.get(item.node)) for item in decoders)
    moved = {item.node: item.keep for item, choice in zip(decoders, choices, strict=True) if choice.place == "chip"}
    return _with_integrators(hybrid, {name: keep for name, keep in moved.items() if keep is not None}), choices


def explained(plan: Plan, choices: Sequence[DecoderChoice]) -> Plan:
    """Return the plan with the reason of each choice in its table, unless something more surprising stands there."""
    reasons = {choice.node if choice.place == "host" else integrator_name(choice.node): choice for choice in choices}
    placements = tuple(
        replace(item, reason=reasons[item.node].reason) if item.node in reasons and not item.code else item
        for item in plan.placements
    )
    return replace(plan, placements=placements)


def integrators(plan: Plan, choices: Sequence[DecoderChoice]) -> tuple[str, ...]:
    """Names of the populations that stand in for decoders."""
    made = {voltage_name(choice.node) for choice in choices if choice.place == "chip"}
    return tuple(
        name
        for segment in plan.chip_segments
        for name, value in zip(segment.graph.outputs, segment.outputs, strict=True)
        if value in made
    )


def voltage_name(node: str) -> str:
    """Name of what that integrator's node makes."""
    return f"{integrator_name(node)}.voltage"


def integrator_name(node: str) -> str:
    """Name of the integrator's node that stands in for a decoder."""
    return f"{node}.integrator"


def _choose(decoder: _Decoder, spikes: float | None) -> DecoderChoice:
    def chosen(place: Literal["host", "chip"], reason: str) -> DecoderChoice:
        return DecoderChoice(decoder.node, decoder.module, place, decoder.values, spikes, reason)

    if decoder.keep is None:
        return chosen("host", decoder.refusal)
    if spikes is None:
        return chosen("chip", "decodes with integrators, as was asked for")
    moved = f"{spikes:,.1f} spikes a sample would leave the chip, {decoder.values:,} values of integrators"
    if spikes > decoder.values:
        return chosen("chip", f"decodes with integrators: {moved}")
    return chosen("host", f"decodes spikes to tensors here: {moved}")


def _decoders(hybrid: HybridModel) -> Iterator[_Decoder]:
    graph = hybrid.to_ir().graph
    domains = infer_domains(graph)
    for node in graph:
        if node.domain != DOMAIN or node.op_type != "WeightedSumDecode" or node.inputs[0] is None:
            continue
        name = node.name or ""
        sources = tuple(_neurons_before(node, domains))
        keep = _keep(constant(node.inputs[1]))
        refusal = "" if keep is not None else "decodes here: its weights do not grow by one factor, as a voltage decays"
        if not sources:
            keep, refusal = None, "decodes here: what it gets does not come straight from neurons"
        shape = hybrid.shapes[node.outputs[0].name or ""]
        yield _Decoder(name, module_of(node), int(np.prod([n for n in shape[1:] if n])), sources, keep, refusal)


def _keep(weights: Array | None) -> float | None:
    """Share of its voltage that an integrator keeps to compute these weights, or None."""
    if weights is None or weights.size < 2 or not np.all(weights):
        return None
    ratios = np.asarray(weights[:-1], np.float64) / np.asarray(weights[1:], np.float64)
    keep = float(ratios[-1])
    if not 0 < keep <= 1 or np.abs(ratios - keep).max() > TOLERANCE * keep:
        return None
    return keep


def _neurons_before(node: ir.Node, domains: Domains) -> Iterator[str]:
    """Spike trains of neurons that reach a node through what could be synapses; none if anything else is between."""
    pending: list[ir.Value | None] = [node.inputs[0]]
    found: list[str] = []
    seen: set[str] = set()
    while pending:
        value = pending.pop()
        name = "" if value is None else value.name or ""
        if value is None or name not in domains.trains or name in seen:
            continue
        seen.add(name)
        maker = value.producer()
        kind = None if maker is None else kind_of(maker)
        if maker is None or (kind not in ("neuron", "encoder") and maker.name not in domains.linear):
            return
        if kind == "neuron" and domains.trains[name].voltage:
            return
        if kind == "neuron":
            found.append(name)
        elif kind != "encoder":
            pending.extend(maker.inputs)
    yield from found


def _spikes(hybrid: HybridModel, samples: Mapping[str, Array], decoders: list[_Decoder]) -> dict[str, float]:
    few = {name: array[:COUNTED] for name, array in samples.items()}
    count = len(next(iter(few.values())))
    wanted = tuple(dict.fromkeys(source for item in decoders for source in item.sources))
    values = run_whole(hybrid, few, wanted)
    return {
        item.node: sum(int(np.count_nonzero(values[source])) for source in item.sources) / count for item in decoders
    }


def _with_integrators(hybrid: HybridModel, keeps: Mapping[str, float]) -> HybridModel:
    import onnx

    if not keeps:
        return hybrid
    proto = onnx.ModelProto()
    proto.CopyFrom(hybrid.proto)
    nodes: list[onnx.NodeProto] = []
    for node in hybrid.proto.graph.node:
        nodes += _integrators(proto.graph, node, keeps[node.name]) if node.name in keeps else [node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return wrap(attach_functions(proto))


def _integrators(graph: onnx.GraphProto, node: onnx.NodeProto, keep: float) -> list[onnx.NodeProto]:
    """Return the nodes that stand in for a decoder, and add their constants and values to the graph."""
    from onnx import helper, numpy_helper

    name, voltage, train, out = integrator_name(node.name), voltage_name(node.name), node.input[0], node.output[0]
    last = _last_weight(graph, node)
    constants = {"current_decay": 1.0, "voltage_decay": 1.0 - keep, "bias": 0.0, "gain": last}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float32), f"{name}.{key}") for key, value in constants.items()
    )
    known = {info.name: info for info in (*graph.value_info, *graph.output)}
    for value, like in ((voltage, train), (f"{name}.last", out)):
        info = graph.value_info.add()
        info.CopyFrom(known[like])
        info.name = value
    decays = [f"{name}.{key}" for key in ("current_decay", "voltage_decay", "bias")]
    made = [
        helper.make_node("LeakyIntegrator", [train, *decays], [voltage], name, domain=DOMAIN, decay_input=0),
        helper.make_node("MembraneDecode", [voltage], [f"{name}.last"], f"{name}.read", domain=DOMAIN, mode="last"),
        helper.make_node("Mul", [f"{name}.last", f"{name}.gain"], [out], f"{name}.scale"),
    ]
    for item in made:
        item.metadata_props.extend(node.metadata_props)
    return made


def _last_weight(graph: onnx.GraphProto, node: onnx.NodeProto) -> float:
    """Weight of the last timestep over the divisor: what a spike there adds to the decoded value."""
    from onnx import numpy_helper

    (weights,) = (numpy_helper.to_array(item) for item in graph.initializer if item.name == node.input[1])
    divisor = next((item.f for item in node.attribute if item.name == "divisor"), 1.0)
    return float(weights.reshape(-1)[-1]) / divisor
