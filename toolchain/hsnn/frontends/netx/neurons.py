"""Neurons of a ``.net`` layer as nodes of a hybrid model.

Voltages of the model are those of slayer; one unit is :data:`VOLTAGE_ONE` of the chip's integers, so every weight, bias
and threshold of the file comes out as the integer that it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.frontends.netx.layers import Adaptive, Cuba, Neuron, SigmaDelta
from hsnn.frontends.netx.parse_neurons import DECAY_ONE, READ_OUT
from hsnn.frontends.netx.sigma_delta import sigma_delta
from hsnn.frontends.netx.synapses import WEIGHT_ONE, Train
from hsnn.ops import DOMAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.frontends.netx.graph import Graph

    Ints = NDArray[np.int64]
    Bias: TypeAlias = "Ints | None"

VOLTAGE_ONE = 4096.0
"""A mantissa has 6 fractional bits, and the chip shifts it left by 6 more."""
EXPONENT_MAX = 3
"""``WgtScaleBatchNorm`` divides by powers of two from 2**-3 to 2**3, whatever the file says."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where neurons stand.

    Attributes:
        index: Layer.
        last: Whether nothing but an average follows, so that voltages may leave.
    """

    index: int
    last: bool


def add_neurons(
    graph: Graph, neuron: Neuron | None, drive: Train, *, bias: Bias, recurrent: Bias, place: Place, integrates: bool
) -> Train:
    """Add the neurons of a layer.

    Args:
        graph: Where to.
        neuron: Neurons; None for a layer without dynamics.
        drive: Their input.
        bias: Added to the voltage, one per channel, or None.
        recurrent: Weights from the layer to itself, or None.
        place: Where they stand.
        integrates: Whether a layer without dynamics sums its input up, as netx has it.

    Raises:
        UnsupportedError: ``HSNN-F072``, naming the layer.
    """
    if neuron is None:
        _require_last(place, "a layer without neurons")
        zero, one = np.zeros((), np.int64), np.full((), DECAY_ONE)
        neuron = Cuba(zero if integrates else one, one, READ_OUT)
    if isinstance(neuron, SigmaDelta):
        return sigma_delta(graph, neuron, drive, bias=bias, recurrent=recurrent, index=place.index, last=place.last)
    if isinstance(neuron, Adaptive) and isinstance(neuron.base, Cuba):
        return _adaptive(graph, neuron, neuron.base, drive, bias, recurrent, place)
    if not isinstance(neuron, Cuba):
        raise _refused(place, f"{_title(neuron)} neurons are not compiled yet", allowed="CUBA neurons")
    if neuron.threshold >= READ_OUT:
        _require_last(place, "a layer of read-out neurons")
        return _integrator(graph, neuron, drive, bias, recurrent, place)
    return _lif(graph, neuron, drive, bias, recurrent)


def exponent_of(neuron: Neuron | None, index: int) -> int:
    """Power of two by which the current of a layer counts more than its weights say.

    ``WgtScaleBatchNorm`` divides the current by ``2**weight_exp``. That is exact on a chip only as larger weights,
    and only where the current has no memory that would be rounded otherwise.

    Raises:
        UnsupportedError: ``HSNN-F072``, where it is not exact.
    """
    base = neuron.base if isinstance(neuron, Adaptive) else neuron
    if not isinstance(base, Cuba) or base.weight_exp is None:
        return 0
    exponent = base.weight_exp
    divided = min(max(exponent, -EXPONENT_MAX), EXPONENT_MAX)
    # The norm of adaptive neurons stands in front of the current.
    remembers = isinstance(neuron, Cuba) and not np.all(base.current_decay == DECAY_ONE)
    if divided > 0 or (divided < 0 and remembers):
        raise _refused(
            Place(index, last=False),
            f"weight_exp is {exponent}: WgtScaleBatchNorm divides the current, and a chip cannot do that exactly here "
            "(netx ignores it and computes something else)",
            allowed="a weight_exp of 0, or below 0 where iDecay is 4096",
            fix="train with MeanOnlyBatchNorm",
        )
    return -divided


def _lif(graph: Graph, neuron: Cuba, drive: Train, bias: Bias, recurrent: Bias) -> Train:
    # In integers v > 0 is v >= 1, and thresholds of the model are above 0.
    silent = neuron.threshold == 0
    threshold = 1.0 / VOLTAGE_ONE if silent else neuron.threshold / WEIGHT_ONE
    parameters = [
        _decay(graph, neuron.current_decay, drive),
        _decay(graph, neuron.voltage_decay, drive),
        graph.constant(np.float64(threshold)),
        _bias(graph, bias, drive),
    ]
    operator = "Lif"
    if recurrent is not None:
        operator = "RecurrentLif"
        parameters.append(graph.constant(recurrent / WEIGHT_ONE))
    value = graph.node(
        f"{DOMAIN}.{operator}",
        drive.value,
        *parameters,
        scale=VOLTAGE_ONE,
        reset="zero",
        comparison=">=" if silent else ">",
        refractory=0,
        decay_input=0,
    )
    return replace(drive, value=value)


def _adaptive(
    graph: Graph, neuron: Adaptive, base: Cuba, drive: Train, bias: Bias, recurrent: Bias, place: Place
) -> Train:
    """Add ALIF neurons, whose bias slayer adds to the input of the current."""
    if base.threshold == 0:
        raise _refused(place, "adaptive neurons with a vThMant of 0 fire at rest", allowed="1 or more")
    value = drive.value
    if bias is not None and bias.any():
        value = graph.node("Add", value, _bias(graph, bias, drive))
    sent = graph.node(
        f"{DOMAIN}.FixedAdaptiveLif" if recurrent is None else f"{DOMAIN}.FixedRecurrentAdaptiveLif",
        value,
        _decay(graph, base.current_decay, drive),
        _decay(graph, base.voltage_decay, drive),
        graph.constant(np.float64(base.threshold / WEIGHT_ONE)),
        graph.constant(np.zeros(())),
        _decay(graph, neuron.threshold_decay, drive),
        _decay(graph, neuron.refractory_decay, drive),
        graph.constant(_per_channel(neuron.threshold_step, drive) / WEIGHT_ONE),
        *([] if recurrent is None else [graph.constant(recurrent / WEIGHT_ONE)]),
        scale=VOLTAGE_ONE,
        resolution=1.0 / VOLTAGE_ONE,
    )
    return replace(drive, value=sent)


def _integrator(graph: Graph, neuron: Cuba, drive: Train, bias: Bias, recurrent: Bias, place: Place) -> Train:
    if recurrent is not None:
        raise _refused(place, "read-out neurons never spike, but have recurrent synapses")
    value = graph.node(
        f"{DOMAIN}.LeakyIntegrator",
        drive.value,
        _decay(graph, neuron.current_decay, drive),
        _decay(graph, neuron.voltage_decay, drive),
        _bias(graph, bias, drive),
        scale=VOLTAGE_ONE,
        decay_input=0,
    )
    return replace(drive, value=value, spikes=False)


def _decay(graph: Graph, decay: Ints, drive: Train) -> str:
    return graph.constant(_per_channel(decay, drive) / DECAY_ONE)


def _bias(graph: Graph, bias: Bias, drive: Train) -> str:
    if bias is None or not bias.any():
        return graph.constant(np.zeros(()))
    return graph.constant(_per_channel(bias, drive) / WEIGHT_ONE)


def _per_channel(values: Ints, drive: Train) -> NDArray[np.float64]:
    """Values of shape () or one per channel, so that they broadcast to the features."""
    return values.reshape(values.shape + (1,) * (len(drive.shape) - 1) * bool(values.ndim)).astype(np.float64)


def _title(neuron: Neuron) -> str:
    if isinstance(neuron, SigmaDelta):
        return "sigma-delta (SDNN)"
    if isinstance(neuron, Adaptive):
        return "adaptive (ALIF)" if isinstance(neuron.base, Cuba) else "adaptive resonator (ADRF)"
    return "resonator (RF)"


def _require_last(place: Place, what: str) -> None:
    if not place.last:
        raise _refused(place, f"{what} sends voltages to another layer", allowed="voltages at the end of the network")


def _refused(place: Place, found: str, *, allowed: str = "", fix: str = "") -> UnsupportedError:
    return UnsupportedError("HSNN-F072", f"layer {place.index}: {found}", allowed=allowed, fix=fix)
