"""Which Lava process computes a population: Lava's own where it is exact, else one of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir import arithmetic as rules
from hsnn.ir.plastic import LearnerPopulation
from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    CountingLifPopulation,
    IntegratorPopulation,
    LifPopulation,
    Neuron,
    ResonatorPopulation,
    SigmaDeltaPopulation,
    received_shape,
    sends_spikes,
    spike_limits,
)
from hsnn.ir.shape import size
from hsnn_targets.lava.blueprint import Part
from hsnn_targets.lava.layout import lava_shape, parameter
from hsnn_targets.lava.plastic import learner_part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn_targets.lava.clock import Window

DECAY_MAX = rules.DECAY_ONE - 1
"""Largest decay of Lava's LIF (12 bits)."""


def part_name(population: str) -> str:
    """Name of the part that computes a population."""
    return f"population:{population}"


def neuron_part(neuron: Neuron, window: Window, *, must_be_silent_between_samples: bool) -> Part:
    """Choose and describe the process of one population.

    Lava's LIFReset starts every sample from zero, but it does not stop: in the gap between samples it works
    on and may fire. That harms nobody unless its spikes are delayed into the next sample.

    Args:
        neuron: The population.
        window: When it works.
        must_be_silent_between_samples: Whether a projection from it has a delay.
    """
    if isinstance(neuron, LearnerPopulation):
        return learner_part(part_name(neuron.name), neuron, window)
    obstacle = stock_obstacle(neuron)
    if not obstacle and must_be_silent_between_samples:
        obstacle = "spikes that it fires between two samples would be delayed into the next one, or learned from"
    if obstacle:
        return _gated(neuron, window, obstacle)
    assert isinstance(neuron, LifPopulation)
    return Part(
        part_name(neuron.name),
        "lif_reset",
        {
            "shape": lava_shape(neuron.shape),
            "du": _uniform(neuron.du),
            "dv": _uniform(neuron.dv),
            "vth": (_uniform(neuron.threshold) or 0) >> rules.STATE_SHIFT,
            "bias_exp": neuron.bias_exp,
            "reset_interval": window.period,
            "reset_offset": (window.lag + 1) % window.period,
        },
        {"bias_mant": _filled(neuron)},
    )


def stock_obstacle(neuron: Neuron) -> str:
    """Say why Lava's LIFReset cannot compute a population, or return an empty string."""
    if isinstance(neuron, IntegratorPopulation):
        return "it sends its voltage and never spikes"
    if isinstance(neuron, AdaptiveLifPopulation):
        return "Lava's ATRLIF cannot be reset between samples"
    if isinstance(neuron, CountingLifPopulation):
        return "its voltage has a floor" if sends_spikes(neuron) else "it sends several spikes in one timestep"
    if isinstance(neuron, ResonatorPopulation):
        return "Lava's RF cannot be reset between samples, and rounds its period"
    if isinstance(neuron, SigmaDeltaPopulation):
        return "Lava's SigmaDelta cannot be reset between samples"
    du, dv, threshold = _uniform(neuron.du), _uniform(neuron.dv), _uniform(neuron.threshold)
    if du is None or dv is None or threshold is None:
        return "its neurons have decays or thresholds of their own"
    if not (0 <= du <= DECAY_MAX and 0 <= dv <= DECAY_MAX):
        return f"its decays {du} and {dv} are not both 0 to {DECAY_MAX}"
    if threshold % (1 << rules.STATE_SHIFT) or threshold >> rules.STATE_SHIFT > rules.STOCK_VTH_MAX:
        return f"its threshold {threshold} is not 64 times 0 to {rules.STOCK_VTH_MAX}"
    if neuron.reset != "zero":
        return f"its reset is {neuron.reset!r}"
    return "it has a refractory time" if neuron.refractory else ""


def _gated(neuron: Neuron, window: Window, obstacle: str) -> Part:
    shape = neuron.shape
    if isinstance(neuron, SigmaDeltaPopulation):
        return _sigma_delta(neuron, window, obstacle)
    if isinstance(neuron, ResonatorPopulation):
        return _resonator(neuron, window, obstacle)
    settings: dict[str, object] = {"shape": lava_shape(shape), "window": window, "bias_exp": neuron.bias_exp}
    arrays = {
        "du": parameter(neuron.du, shape),
        "dv": parameter(neuron.dv, shape),
        "bias_mant": parameter(neuron.bias_mant, shape),
    }
    if isinstance(neuron, IntegratorPopulation):
        return Part(part_name(neuron.name), "gated_integrator", settings, arrays, obstacle)
    if isinstance(neuron, AdaptiveLifPopulation):
        names = ("threshold", "threshold_decay", "refractory_decay", "threshold_step")
        arrays |= {name: parameter(getattr(neuron, name), shape) for name in names}
        return Part(part_name(neuron.name), "gated_adaptive", settings, arrays, obstacle)
    most, floor = spike_limits(neuron)
    settings |= {"reset": neuron.reset, "refractory": neuron.refractory, "max_spikes": most}
    arrays |= {
        "threshold": parameter(neuron.threshold, shape),
        "reset_amount": parameter(neuron.reset_amount, shape),
        "v_min": parameter(floor, shape),
    }
    return Part(part_name(neuron.name), "gated_lif", settings, arrays, obstacle)


def _sigma_delta(neuron: SigmaDeltaPopulation, window: Window, obstacle: str) -> Part:
    settings = {
        "shape": lava_shape(neuron.shape),
        "window": window,
        "accumulate": neuron.accumulate,
        "rectify": neuron.rectify,
        "keep_rest": neuron.keep_rest,
        "message_shift": neuron.message_shift,
    }
    arrays = {
        "threshold": parameter(neuron.threshold, neuron.shape),
        "bias": parameter(neuron.bias, neuron.shape),
    }
    return Part(part_name(neuron.name), "gated_sigma_delta", settings, arrays, obstacle)


def _resonator(neuron: ResonatorPopulation, window: Window, obstacle: str) -> Part:
    shape = neuron.shape
    settings = {
        "shape": lava_shape(shape),
        "received": lava_shape(received_shape(neuron)),
        # Lava's images have the channels last, so that both parts of a neuron lie side by side.
        "apart": 1 if len(shape) == 3 else size(shape[1:]),
        "window": window,
        "firing": neuron.firing,
    }
    names = ("cos_decay", "sin_decay", "threshold")
    arrays = {name: parameter(getattr(neuron, name), shape) for name in names}
    return Part(part_name(neuron.name), "gated_resonator", settings, arrays, obstacle)


def _uniform(array: NDArray[np.int32]) -> int | None:
    """Return the one value of an array, or None if there are several."""
    first = int(array.flat[0])
    return first if bool(np.all(array == first)) else None


def _filled(neuron: LifPopulation) -> NDArray[np.int32]:
    """Bias mantissas for every neuron, as Lava lays them out."""
    return parameter(np.ascontiguousarray(np.broadcast_to(neuron.bias_mant, neuron.shape)), neuron.shape)
