"""Check the parameters of neurons against the contract of an IntegerNetwork."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir import arithmetic as rules
from hsnn.ir.contract import require
from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    CountingLifPopulation,
    LifPopulation,
    Neuron,
    ResonatorPopulation,
    SigmaDeltaPopulation,
)
from hsnn.ir.shape import Shape, size

if TYPE_CHECKING:
    from numpy.typing import NDArray

MESSAGE_SHIFT_MAX = 16


def _within(array: NDArray[np.int32], shape: Shape, low: int, high: int, what: str) -> None:
    require(
        array.dtype == np.int32 and array.shape in ((), shape),
        f"{what} is {array.dtype} of shape {array.shape}",
        f"int32 of shape () or {shape}",
    )
    require(
        bool(np.all((array >= low) & (array <= high))), f"{what} is {array.min()} to {array.max()}", f"{low} to {high}"
    )


def check_neuron(neuron: Neuron) -> None:
    """Check a population; ``HSNN-I001`` if a parameter has a wrong type, shape or value."""
    name, shape = neuron.name, neuron.shape
    require(size(shape) > 0, f"population {name!r} has shape {shape}", "at least one neuron")
    if isinstance(neuron, SigmaDeltaPopulation):
        _check_sigma_delta(neuron)
        return
    if isinstance(neuron, ResonatorPopulation):
        _check_resonator(neuron)
        return
    _within(neuron.du, shape, -1, rules.DECAY_ONE - 1, f"du of {name!r}")
    _within(neuron.dv, shape, 0, rules.DECAY_ONE, f"dv of {name!r}")
    _within(neuron.bias_mant, shape, rules.BIAS_MANT_MIN, rules.BIAS_MANT_MAX, f"bias_mant of {name!r}")
    require(0 <= neuron.bias_exp <= rules.BIAS_EXP_MAX, f"bias_exp of {name!r} is {neuron.bias_exp}", "0 to 7")
    if isinstance(neuron, LifPopulation):
        if isinstance(neuron, AdaptiveLifPopulation):
            _check_adaptive(neuron)
        if isinstance(neuron, CountingLifPopulation):
            _check_counting(neuron)
        _within(neuron.threshold, shape, 0, rules.VOLTAGE_MAX, f"threshold of {name!r}")
        _within(neuron.reset_amount, shape, 0, rules.STATE_LIMIT, f"reset_amount of {name!r}")
        require(0 <= neuron.refractory <= 64, f"refractory of {name!r} is {neuron.refractory}", "0 to 64")
        require(
            neuron.reset in ("zero", "subtract", "none"),
            f"reset of {name!r} is {neuron.reset!r}",
            "zero, subtract or none",
        )


def _check_adaptive(neuron: AdaptiveLifPopulation) -> None:
    name, shape = neuron.name, neuron.shape
    _within(neuron.threshold_decay, shape, 0, rules.DECAY_ONE, f"threshold_decay of {name!r}")
    _within(neuron.refractory_decay, shape, 0, rules.DECAY_ONE, f"refractory_decay of {name!r}")
    _within(neuron.threshold_step, shape, 0, rules.VOLTAGE_MAX, f"threshold_step of {name!r}")
    require(
        neuron.reset == "none" and neuron.refractory == 0,
        f"{name!r} adapts, and has reset {neuron.reset!r} and {neuron.refractory} refractory timesteps",
        "reset none and 0 timesteps",
    )


def _check_counting(neuron: CountingLifPopulation) -> None:
    name, most = neuron.name, neuron.max_spikes
    require(1 <= most <= rules.VOLTAGE_MAX, f"max_spikes of {name!r} is {most}", f"1 to {rules.VOLTAGE_MAX}")
    _within(neuron.v_min, neuron.shape, -rules.VOLTAGE_MAX, 0, f"v_min of {name!r}")
    require(neuron.reset != "none", f"{name!r} counts, and its reset is {neuron.reset!r}", "zero or subtract")
    require(
        most == 1 or bool(np.all(neuron.reset_amount.astype(np.int64) <= neuron.threshold.astype(np.int64) + 1)),
        f"a spike takes up to {neuron.reset_amount.max()} off {name!r}, whose thresholds start at "
        f"{neuron.threshold.min()}",
        "the threshold and 1 at most, where several are sent at once",
    )


def _check_resonator(neuron: ResonatorPopulation) -> None:
    name, shape = neuron.name, neuron.shape
    require(bool(shape), f"resonators {name!r} have no axis", "one axis or more: parts take turns along the first")
    _within(neuron.cos_decay, shape, -rules.DECAY_ONE, rules.DECAY_ONE, f"cos_decay of {name!r}")
    _within(neuron.sin_decay, shape, -rules.DECAY_ONE, rules.DECAY_ONE, f"sin_decay of {name!r}")
    _within(neuron.threshold, shape, 0, rules.VOLTAGE_MAX, f"threshold of {name!r}")
    require(neuron.firing in ("phase", "izhikevich"), f"firing of {name!r} is {neuron.firing!r}", "phase or izhikevich")


def _check_sigma_delta(neuron: SigmaDeltaPopulation) -> None:
    name, shape, bound = neuron.name, neuron.shape, (1 << 31) - 1
    _within(neuron.threshold, shape, 0, bound, f"threshold of {name!r}")
    _within(neuron.bias, shape, -bound * neuron.accumulate, bound * neuron.accumulate, f"bias of {name!r}")
    shift = neuron.message_shift
    require(0 <= shift <= MESSAGE_SHIFT_MAX, f"message_shift of {name!r} is {shift}", f"0 to {MESSAGE_SHIFT_MAX}")
    require(neuron.accumulate or not neuron.rectify, f"{name!r} rectifies its input itself", "a sum to rectify")
