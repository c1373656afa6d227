"""Read the neurons of a layer of a ``.net`` file: CUBA, adaptive, sigma-delta or resonators, each field checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.frontends.netx.layers import Adaptive, Cuba, Neuron, Resonator, SigmaDelta

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.frontends.netx.fields import Fields

    Ints = NDArray[np.int64]

DECAY_ONE = 4096
THRESHOLD_MAX = (1 << 18) - 1
"""What lava-dl writes for read-out neurons; Loihi's mantissas have 17 bits."""
READ_OUT = (1 << 17) - 1
"""From this threshold on, which the voltage does not reach, neurons are read-out neurons."""
_TYPES = "CUBA, LOIHI, SDNN, RF_PHASE, RF_IZHIKEVICH, ALIF, ADRF_PHASE or ADRF_IZHIKEVICH"


def parse_neuron(fields: Fields, channels: int) -> Neuron | None:
    """Read the group ``neuron``.

    Args:
        fields: Fields of the layer.
        channels: Channels of the layer, for parameters that channels do not share.

    Returns:
        The neurons; None if the layer has none.

    Raises:
        UnsupportedError: ``HSNN-F071`` or ``HSNN-F072``, naming layer and field.
    """
    if not any(name.startswith("neuron/") for name in fields.arrays):
        return None
    kind = fields.text("neuron/type")
    _refuse_messages(fields)
    if kind in ("CUBA", "LOIHI"):
        return _cuba(fields, channels, kind)
    if kind == "SDNN":
        return _sigma_delta(fields)
    if kind in ("RF_PHASE", "RF_IZHIKEVICH"):
        return _resonator(fields, channels, izhikevich=kind == "RF_IZHIKEVICH")
    if kind == "ALIF":
        return _adaptive(fields, channels, _cuba(fields, channels, kind))
    if kind in ("ADRF_PHASE", "ADRF_IZHIKEVICH"):
        return _adaptive(fields, channels, _resonator(fields, channels, izhikevich=kind == "ADRF_IZHIKEVICH"))
    raise fields.wrong("neuron/type", f"is {kind!r}", _TYPES)


def _refuse_messages(fields: Fields) -> None:
    if fields.has("neuron/messageBits"):
        raise fields.refused(
            "its neurons have 'messageBits', which no version of lava-dl writes and netx misreads",
            allowed="neurons that send spikes of one bit, or sigma-delta neurons",
        )
    if fields.has("neuron/gradedSpike") and fields.flag("neuron/gradedSpike"):
        raise fields.refused(
            "its neurons send graded spikes, the voltage at each spike; netx ignores that",
            allowed="gradedSpike false",
            fix="train with graded_spike=False",
        )
    if fields.has("neuron/refDelay"):
        delay = fields.integer("neuron/refDelay", 0, 64)
        if delay != 1:
            raise fields.refused(f"refDelay is {delay}; netx ignores it and slayer never writes it", allowed="1")


def _cuba(fields: Fields, channels: int, kind: str) -> Cuba:
    current = fields.per_channel("neuron/iDecay", 0, DECAY_ONE, channels)
    voltage = fields.per_channel("neuron/vDecay", 0, DECAY_ONE, channels)
    threshold = fields.integer("neuron/vThMant", 0, THRESHOLD_MAX)
    weight_exp = fields.integer("neuron/weight_exp", -64, 64) if fields.has("neuron/weight_exp") else None
    if kind == "LOIHI":
        _check_old(fields, threshold)
    return Cuba(current, voltage, threshold, weight_exp)


def _check_old(fields: Fields, threshold: int) -> None:
    """Check what only the older slayer writes; none of it says anything new.

    Read-out neurons keep the ``theta`` of training beside the highest of all thresholds.
    """
    theta = fields.integer("neuron/theta", 0, 1 << 30) if fields.has("neuron/theta") else threshold << 6
    if theta != threshold << 6 and threshold < READ_OUT:
        raise fields.wrong("neuron/theta", "differs from vThMant << 6", f"{threshold << 6}")
    if fields.has("neuron/wgtExp"):
        exponent = fields.integer("neuron/wgtExp", -64, 64)
        if exponent != 0:
            raise fields.refused(f"wgtExp is {exponent}; netx ignores it", allowed="0")
    for name in ("neuron/tauRho", "neuron/scaleRho"):
        fields.has(name)  # parameters of the surrogate gradient


def _sigma_delta(fields: Fields) -> SigmaDelta:
    activation = fields.text("neuron/activation") if fields.has("neuron/activation") else "identity"
    sends_sum = fields.has("neuron/sigma_output") and fields.flag("neuron/sigma_output")
    threshold = fields.integer("neuron/vThMant", 0, THRESHOLD_MAX) if fields.has("neuron/vThMant") else None
    if threshold is None and not sends_sum:
        raise fields.wrong("neuron/vThMant", "is missing", "a threshold, or sigma_output")
    return SigmaDelta(threshold, activation, sends_sum)


def _resonator(fields: Fields, channels: int, *, izhikevich: bool) -> Resonator:
    return Resonator(
        izhikevich,
        fields.per_channel("neuron/sinDecay", -DECAY_ONE, DECAY_ONE, channels),
        fields.per_channel("neuron/cosDecay", -DECAY_ONE, DECAY_ONE, channels),
        fields.integer("neuron/vThMant", 0, THRESHOLD_MAX),
    )


def _adaptive(fields: Fields, channels: int, base: Cuba | Resonator) -> Adaptive:
    return Adaptive(
        base,
        fields.per_channel("neuron/thDecay", 0, DECAY_ONE, channels),
        fields.per_channel("neuron/refDecay", 0, DECAY_ONE, channels),
        fields.per_channel("neuron/vThStep", 0, THRESHOLD_MAX, channels),
    )
