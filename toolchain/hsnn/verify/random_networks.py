"""Random integer networks and spikes: what every back end is held against the reference with.

A network is drawn from a seed and a set of features. With all features on it goes where back ends
tend to differ: currents that wrap, voltages that saturate, sums that leave 24 and 32 bits, uneven
branches, loops and delays, every reset, and neurons with parameters of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, get_args

import numpy as np

from hsnn.ir import arithmetic as rules
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    ConstantSource,
    CountingLifPopulation,
    InputPort,
    IntegratorPopulation,
    LifPopulation,
    Population,
    ResonatorPopulation,
    SigmaDeltaPopulation,
    received_shape,
    sends,
)
from hsnn.ir.projections import ConvProjection, DenseProjection, SparseProjection, conv_output_shape
from hsnn.ir.shape import Shape
from hsnn.ir.validate import validate_network
from hsnn.verify.random_parts import (
    Draft,
    Feature,
    draw_adaptive,
    draw_conv,
    draw_counting,
    draw_dynamics,
    draw_flat,
    draw_lif,
    draw_resonators,
    draw_sigma_delta,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]

EVERYTHING: frozenset[Feature] = frozenset(get_args(Feature))
"""Every feature."""


def _draw_resonators(draft: Draft, name: str, received: Shape) -> Population:
    """Draw resonators for projections of this shape, or LIF neurons where its channels are no pairs."""
    if received[0] % 2:
        return draw_lif(draft, name, received)
    return draw_resonators(draft, name, (received[0] // 2, *received[1:]))


_SPECIAL: Mapping[str, Callable[[Draft, str, Shape], Population]] = {
    "sigma_delta": draw_sigma_delta,
    "adaptive": draw_adaptive,
    "counting": draw_counting,
    "resonator": _draw_resonators,
}
FEATURES: frozenset[Feature] = EVERYTHING - _SPECIAL.keys()
"""Every feature of networks of LIF neurons. Without any, a network is dense layers that Lava's own LIF can hold."""

STOCK: frozenset[Feature] = frozenset({"conv", "sparse", "graded", "residual", "bias", "extreme"})
"""Features that Lava's own processes can hold."""


def random_network(
    seed: int, *, features: Collection[Feature] = FEATURES, timesteps: int | None = None
) -> IntegerNetwork:
    """Draw a small valid network.

    Args:
        seed: Same seed and features, same network.
        features: What the network may contain; each is drawn with some probability.
        timesteps: Timesteps per sample, or None to draw 3 to 12.

    Returns:
        A network of 1 to 2 inputs and 1 to 5 neuron populations with at most a few hundred neurons.
    """
    rng = np.random.default_rng(seed)
    draft = Draft(rng, frozenset(features))
    _draw_inputs(draft)
    for index in range(int(rng.integers(1, 5))):
        _draw_layer(draft, f"layer{index}")
    if draft.may("integrator", 0.6):
        _draw_readout(draft)
    _draw_loops(draft)
    names = [p.name for p in draft.populations if not isinstance(p, ConstantSource)]
    chosen = [name for name in names[:-1] if rng.random() < 0.3]
    if draft.may("residual", 0.1):
        chosen.append(draft.inputs[0].name)
    network = IntegerNetwork(
        name=f"random{seed}",
        timesteps=int(rng.integers(3, 13)) if timesteps is None else timesteps,
        inputs=tuple(draft.inputs),
        populations=tuple(draft.populations),
        projections=tuple(draft.projections),
        outputs=(*chosen, names[-1]),
    )
    validate_network(network)
    return network


def random_inputs(network: IntegerNetwork, batch: int, seed: int) -> dict[str, Int32]:
    """Draw spikes for every input port: sparse and dense samples, extreme payloads among them.

    Args:
        network: The network to feed.
        batch: Number of samples.
        seed: Same seed, same spikes.

    Returns:
        For each port: int32, shape ``(timestep, batch, *feature)``.
    """
    rng = np.random.default_rng([seed, 0x5EED])
    spikes = {}
    for port in network.inputs:
        shape = (network.timesteps, batch, *port.shape)
        rates = rng.choice([0.1, 0.3, 0.6, 1.0], size=(1, batch) + (1,) * len(port.shape))
        payload = rng.integers(1, port.max_payload, size=shape, endpoint=True)
        payload = np.where(rng.random(shape) < 0.05, port.max_payload, payload)
        if port.signed:
            payload = np.where(rng.random(shape) < 0.5, -payload, payload)
        spikes[port.name] = np.where(rng.random(shape) < rates, payload, 0).astype(np.int32)
    return spikes


def _draw_inputs(draft: Draft) -> None:
    rng = draft.rng
    for index in range(int(rng.integers(1, 3))):
        image = draft.may("conv", 0.7)
        low, high = (4, 9) if image else (2, 14)
        shape = tuple(int(n) for n in rng.integers(low, high, size=2 if image else 1))
        shape = (int(rng.integers(1, 4)), *shape) if image else shape
        peak, signed = 1, False
        if draft.may("graded", 0.4):
            peak = int(rng.choice([7, 255, 32767, rules.VOLTAGE_MAX if "extreme" in draft.features else 127]))
            signed = bool(rng.random() < 0.5)
        draft.inputs.append(InputPort(f"input{index}", shape, peak, signed))
    if draft.may("constant", 0.5):
        draft.populations.append(ConstantSource("constant", (int(rng.integers(1, 3)),)))


def _draw_layer(draft: Draft, name: str) -> None:
    """Append LIF neurons and what leads to them."""
    rng = draft.rng
    sources = draft.sources()
    forward = [source for source in sources if source != "constant"]
    pre = forward[-1] if rng.random() < 0.7 else str(rng.choice(forward))
    if len(sources[pre]) == 3 and rng.random() < 0.8:
        draft.projections.append(draw_conv(draft, pre, name, sources[pre]))
        shape = conv_output_shape(draft.projections[-1], sources[pre])  # type: ignore[arg-type]  # just drawn
    else:
        shape = (int(rng.integers(1, 20)),)
        draft.projections.append(draw_flat(draft, pre, name, sources[pre], shape))
    others = [source for source in sources if source != pre]
    for other in others:
        if draft.may("residual", 0.35) or (other == "constant" and rng.random() < 0.5):
            draft.projections.append(draw_flat(draft, other, name, sources[other], shape))
    special = [draw for feature, draw in _SPECIAL.items() if feature in draft.features and rng.random() < 0.4]
    draw = special[int(rng.integers(len(special)))] if special else draw_lif
    draft.populations.append(draw(draft, name, shape))


def _draw_readout(draft: Draft) -> None:
    rng = draft.rng
    sources = draft.sources()
    pre, shape = list(sources)[-1], (int(rng.integers(1, 8)),)
    draft.projections.append(draw_flat(draft, pre, "readout", sources[pre], shape))
    du, dv, mant, exp = draw_dynamics(draft, shape)
    draft.populations.append(IntegratorPopulation("readout", shape, du, dv, mant, exp))


def _draw_loops(draft: Draft) -> None:
    """Add projections that lead back, with delays long enough for one timestep per projection."""
    spiking = [p for p in draft.populations if sends(p) and not isinstance(p, ConstantSource)]
    for index, population in enumerate(spiking):
        if draft.may("recurrence", 0.35):
            delay = int(draft.rng.choice([1, 1, 2, 4]))
            draft.projections.append(
                draw_flat(
                    draft, population.name, population.name, population.shape, received_shape(population), delay=delay
                )
            )
        if index and draft.may("recurrence", 0.2):
            target = spiking[index - 1]
            delay = int(draft.rng.integers(len(spiking), len(spiking) + 3))
            draft.projections.append(
                draw_flat(draft, population.name, target.name, population.shape, received_shape(target), delay=delay)
            )


def summarize(network: IntegerNetwork) -> Mapping[str, int]:
    """Count what a network contains, for test reports and coverage of the generator."""
    lifs = [p for p in network.populations if isinstance(p, LifPopulation)]
    return {
        "dense": sum(isinstance(p, DenseProjection) for p in network.projections),
        "sparse": sum(isinstance(p, SparseProjection) for p in network.projections),
        "conv": sum(isinstance(p, ConvProjection) for p in network.projections),
        "delayed": sum(p.delay > 0 for p in network.projections),
        "loops": sum(p.pre == p.post for p in network.projections),
        "graded": sum(port.graded for port in network.inputs),
        "soft": sum(p.reset != "zero" for p in lifs),
        "refractory": sum(p.refractory > 0 for p in lifs),
        "own parameters": sum(p.du.ndim > 0 or p.threshold.ndim > 0 for p in lifs),
        "adaptive": sum(isinstance(p, AdaptiveLifPopulation) for p in network.populations),
        "counting": sum(isinstance(p, CountingLifPopulation) for p in network.populations),
        "resonators": sum(isinstance(p, ResonatorPopulation) for p in network.populations),
        "sigma-delta": sum(isinstance(p, SigmaDeltaPopulation) for p in network.populations),
        "integrators": sum(isinstance(p, IntegratorPopulation) for p in network.populations),
    }
