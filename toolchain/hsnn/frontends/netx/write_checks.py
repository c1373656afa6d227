"""What keeps a segment as a whole from being a network of netx: its ends, its neurons, and when they work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.frontends.netx.write_synapses import DELAY_MAX, refused
from hsnn.ir.populations import (
    ConstantSource,
    IntegratorPopulation,
    LifPopulation,
    Population,
    ResonatorPopulation,
    SigmaDeltaPopulation,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from hsnn.errors import UnsupportedError
    from hsnn.ir.integer import IntegerNetwork

    Ints = NDArray[np.int64]

_KNOWN = (LifPopulation, IntegratorPopulation, ResonatorPopulation, SigmaDeltaPopulation)


def enters(population: Population) -> bool:
    """Tell whether neurons send how their input itself changes, as those of an input layer do."""
    return isinstance(population, SigmaDeltaPopulation) and not population.accumulate


def check_ends(network: IntegerNetwork) -> list[UnsupportedError]:
    """Say which inputs, outputs and populations netx has nothing for."""
    reasons = []
    changes = {isinstance(item, SigmaDeltaPopulation) for item in network.populations}
    if len(network.inputs) != 1 or (network.inputs[0].graded and changes != {True}):
        found = ", ".join(f"{port.name} ({'graded' if port.graded else 'binary'})" for port in network.inputs)
        allowed = "one input of binary spikes, as TrainEncode(values='binary') makes them, or a .nir file with "
        allowed += "--nir-policy NAME,inputs=binary; of messages or values for sigma-delta neurons"
        reasons.append(refused(f"segment {network.name!r} has the inputs {found}", allowed))
    if not network.populations or network.outputs != (network.populations[-1].name,):
        found = f"segment {network.name!r} gives back {', '.join(network.outputs)}"
        reasons.append(refused(found, "the last population and nothing else"))
    for population in network.populations:
        if isinstance(population, ConstantSource):
            found = f"{population.name!r} sends biases into the current of neurons with current memory"
            reasons.append(refused(found, "biases of the voltage"))
        elif type(population) not in _KNOWN:
            found = f"{population.name!r} is a {type(population).__name__}"
            reasons.append(refused(found, "CUBA and sigma-delta neurons and resonators, all that netx has"))
    if len(changes) > 1 and not reasons:
        reasons.append(refused(f"segment {network.name!r} has sigma-delta neurons beside others", "one kind in a file"))
    return reasons


def check_timing(
    network: IntegerNetwork, base: int, delays: Mapping[str, Ints], loops: Collection[str]
) -> list[UnsupportedError]:
    """Say what keeps netx from doing in the timesteps of Lava what the network does in its own.

    On Lava each layer is a timestep later than the one before. Where nothing has a bias, that only shifts spikes. With
    biases it matters what a layer does before its first input arrives: CUBA neurons are reset in that timestep,
    sigma-delta neurons never are.

    Args:
        network: A chain.
        base: Timesteps that all its populations take.
        delays: Axonal delays beyond it.
        loops: Populations with synapses to themselves.
    """
    biased = [item.name for item in network.populations if getattr(item, "bias", np.zeros(1)).any()]
    changes = isinstance(network.populations[0], SigmaDeltaPopulation)
    reasons = []
    if biased and base != int(changes):
        late = "in the same timestep as those of the layer before" if changes else "before its first input arrives"
        found = f"biases of {', '.join(biased)} work, and each layer begins {late}, as slayer's schedule has it"
        reasons.append(refused(found, "a network that was read with --schedule lava, or one without biases"))
    reasons += _check_resets(network, loops, biased)
    for name, steps in delays.items():
        why = ""
        if biased:
            why = f"beside biases of {', '.join(biased)}: netx delays what neurons receive instead, another result then"
        elif isinstance(network.source(name), ResonatorPopulation):
            why = "of resonators, for which netx has none"
        elif enters(network.source(name)):  # type: ignore[arg-type]  # only populations have delays
            why = "of the neurons of an input layer, for which netx has none"
        elif steps.max() > DELAY_MAX:
            why = f"of up to {steps.max()} timesteps, of which netx has {DELAY_MAX}"
        if why:
            allowed = "delays of layers with CUBA or sigma-delta neurons, without biases"
            reasons.append(refused(f"{name!r} has axonal delays {why}", allowed))
    return reasons


def _check_resets(network: IntegerNetwork, loops: Collection[str], biased: Collection[str]) -> list[UnsupportedError]:
    """Say which layers keep something from before the timestep in which their first input arrives.

    Biases may let a layer of Lava spike before that. Its reset forgets their traces in its neurons, but not the spikes
    that are on their way back to it, and netx does not reset resonators.
    """
    reasons, before = [], []
    for population in network.populations:
        before += [population.name] if population.name in biased else []
        if population.name in loops and isinstance(population, SigmaDeltaPopulation):
            reasons.append(refused(f"{population.name!r} has synapses to itself", "CUBA neurons in such layers"))
        elif population.name in loops and before:
            found = f"{population.name!r} has synapses to itself, and {', '.join(before)} biases"
            allowed = "no biases up to there: what a layer sends before its reset would come back behind it"
            reasons.append(refused(found, allowed))
        elif isinstance(population, ResonatorPopulation) and before:
            found = f"resonators {population.name!r} follow biases of {', '.join(before)}"
            allowed = (
                "no biases up to there: netx does not reset resonators, so earlier spikes would stay in their state"
            )
            reasons.append(refused(found, allowed))
    return reasons
