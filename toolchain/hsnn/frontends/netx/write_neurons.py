"""Neurons of a population as the fields of a ``.net`` layer: CUBA and sigma-delta; resonators have a file of their own.

Source of the fields: lava-dl 0.6.0, ``device_params`` of ``slayer/neuron``; what netx reads of them: ``netx/hdf5.py``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.frontends.netx.parse_neurons import THRESHOLD_MAX
from hsnn.frontends.netx.write_synapses import refused
from hsnn.ir.arithmetic import STATE_SHIFT, STOCK_VTH_MAX
from hsnn.ir.populations import IntegratorPopulation, LifPopulation, SigmaDeltaPopulation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]
    Fields = dict[str, Any]

BIAS_MAX = 4095
MESSAGE_SHIFT = 6
"""Bits of a sigma-delta state below a unit of a message: netx's ``state_exp``."""
VALUE_SHIFT = 12
"""Bits of such a state below a mantissa, or a value that enters: netx's ``spike_exp`` and ``state_exp``."""


def cuba_fields(population: LifPopulation | IntegratorPopulation, channels: int) -> Fields:
    """Fields of neurons with a current and a voltage, ``bias`` among them where there is one.

    Raises:
        UnsupportedError: ``HSNN-F079``, naming what netx does not know.
    """
    name = population.name
    threshold = THRESHOLD_MAX
    if isinstance(population, LifPopulation):
        if population.reset != "zero" or population.refractory:
            found = f"{name!r} resets by {population.reset!r} and has a refractory time of {population.refractory}"
            raise refused(found, "a reset to zero and no refractory time")
        level = per_channel(population.threshold, name, "threshold", channels)
        if level.ndim or level % (1 << STATE_SHIFT) or level >> STATE_SHIFT >= STOCK_VTH_MAX:
            raise refused(
                f"the threshold of {name!r} is {population.threshold.min()} to {population.threshold.max()}",
                "one multiple of 64 below 131071 * 64 for all neurons",
            )
        threshold = int(level) >> STATE_SHIFT
    fields = {
        "neuron/type": "CUBA",
        "neuron/iDecay": per_channel(population.du, name, "du", channels).astype(np.int64) + 1,
        "neuron/vDecay": per_channel(population.dv, name, "dv", channels).astype(np.int64),
        "neuron/vThMant": threshold,
        "neuron/refDelay": 1,
        "neuron/gradedSpike": False,
    }
    return {**_bias(population.bias, name, channels, STATE_SHIFT), **fields}


def sigma_delta_fields(population: SigmaDeltaPopulation, channels: int, *, last: bool) -> Fields:
    """Fields of sigma-delta neurons that sum up: a layer's, or those of an output, which send their sum.

    Raises:
        UnsupportedError: ``HSNN-F079``, naming what netx does not know.
    """
    name = population.name
    if population.accumulate and not population.rectify and last and not population.message_shift:
        if np.any(population.threshold > 1) or population.bias.any():
            raise refused(f"{name!r} sends its sum with a threshold or a bias", "neither, as Lava's Sigma has it")
        return {"neuron/type": "SDNN", "neuron/sigma_output": True}
    _check_messages(population)
    if not population.accumulate or not population.rectify:
        what = "no ReLU" if population.accumulate else "no sum of its input"
        raise refused(f"{name!r} has {what}, inside of the network", "SigmaDelta with a ReLU, all that netx makes")
    fields = {"neuron/type": "SDNN", "neuron/activation": "relu", "neuron/vThMant": _mantissa(population)}
    return {**_bias(population.bias, name, channels, VALUE_SHIFT), **fields}


def delta_fields(population: SigmaDeltaPopulation) -> Fields:
    """Fields of the neurons of an input layer, which send how a value changes.

    Raises:
        UnsupportedError: ``HSNN-F079``, naming what netx does not know.
    """
    _check_messages(population)
    return {"neuron/type": "SDNN", "neuron/activation": "relu", "neuron/vThMant": _mantissa(population)}


def per_channel(values: Int32, name: str, what: str, channels: int) -> Int32:
    """Reduce a parameter to shape () or one per channel.

    Raises:
        UnsupportedError: ``HSNN-F079``, if it differs within a channel.
    """
    if not values.ndim:
        return values
    rows = values.reshape(channels, math.prod(values.shape) // channels)
    if np.any(rows != rows[:, :1]):
        raise refused(f"{what} of {name!r} differs within a channel", "one number per channel")
    return rows[:, 0].copy()


def _check_messages(population: SigmaDeltaPopulation) -> None:
    if population.message_shift != MESSAGE_SHIFT or population.keep_rest:
        kept = "keeps" if population.keep_rest else "loses"
        raise refused(
            f"messages of {population.name!r} leave {population.message_shift} bits of its state behind, and it {kept} "
            "these",
            f"{MESSAGE_SHIFT} bits that are lost, as netx and lava-dl have it: neurons that come from lava-dl",
        )


def _mantissa(population: SigmaDeltaPopulation) -> int:
    level = population.threshold
    mantissa = int(level.min()) >> VALUE_SHIFT
    if level.min() != level.max() or level.min() % (1 << VALUE_SHIFT) or mantissa > THRESHOLD_MAX:
        found = f"the threshold of {population.name!r} is {level.min()} to {level.max()}"
        raise refused(found, f"one multiple of {1 << VALUE_SHIFT} for all neurons: netx has them in 1/64")
    return mantissa


def _bias(values: Int32, name: str, channels: int, shift: int) -> Fields:
    bias = per_channel(values, name, "bias", channels)
    if np.any(bias % (1 << shift)) or np.abs(bias >> shift).max() > BIAS_MAX:
        unit = 1 << shift
        raise refused(
            f"biases of {name!r} reach from {bias.min()} to {bias.max()}", f"multiples of {unit} up to 4095 * {unit}"
        )
    if not bias.any():
        return {}
    return {"bias": np.broadcast_to(bias >> shift, (channels,)).astype(np.float32)}
