"""Check what learns: plastic projections and learner populations keep their contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.ir import arithmetic as rules
from hsnn.ir import learning_arithmetic as learning
from hsnn.ir.contract import require
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.learning import NO_TRACE, validate_rule
from hsnn.ir.populations import (
    ConstantSource,
    CountingLifPopulation,
    InputPort,
    IntegratorPopulation,
    ResonatorPopulation,
    SigmaDeltaPopulation,
)
from hsnn.ir.shape import Shape, size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.plastic import LearnerPopulation, PlasticProjection

AMOUNT_MAX = learning.TRACE_MAX


def check_plastic(projection: PlasticProjection, pre: Shape, post: Shape) -> None:
    """Check rule, weights and state of synapses that learn.

    Raises:
        HsnnError: ``HSNN-I001``.
        UnsupportedError: ``HSNN-I011`` to ``HSNN-I014``, if Loihi cannot express the rule.
    """
    name, synapses = projection.name, (size(post), size(pre))
    validate_rule(projection.rule)
    require(projection.delay == 0, f"delay of {name!r}, which learns, is {projection.delay}", "0")
    require(projection.num_weight_bits == 8, f"num_weight_bits of {name!r} is {projection.num_weight_bits}", "8")
    _within(
        projection.weights, np.int16, synapses, learning.stored_range("w", projection.sign_mode), f"weights of {name!r}"
    )
    _within(projection.tag, np.int32, synapses, learning.STORED_RANGE["t"], f"tags t of {name!r}")
    _within(projection.tag_delay, np.int32, synapses, learning.STORED_RANGE["d"], f"tags d of {name!r}")
    trace = (0, learning.TRACE_MAX)
    _within(projection.pre_traces, np.int32, (2, size(pre)), trace, f"presynaptic traces of {name!r}")
    _within(projection.post_traces, np.int32, (3, size(post)), trace, f"postsynaptic traces of {name!r}")
    require(0 <= projection.epochs < 1 << 31, f"{name!r} has {projection.epochs} epochs behind it", "0 to 2**31 - 1")


def check_ends(network: IntegerNetwork, projection: PlasticProjection, *, third_factor: bool) -> None:
    """Check what a plastic projection leads from and to.

    Raises:
        UnsupportedError: ``HSNN-I015``, if nothing learns there; ``HSNN-I014``, if both the rule and the neurons
            make the postsynaptic traces.
    """
    name = projection.name
    if isinstance(network.source(projection.pre), ConstantSource):
        raise UnsupportedError(
            "HSNN-I015",
            f"{name!r} learns from the constant source {projection.pre!r}",
            allowed="an input or LIF population",
        )
    if isinstance(network.source(projection.post), IntegratorPopulation):
        raise UnsupportedError(
            "HSNN-I015",
            f"{name!r} learns at {projection.post!r}, which never spikes",
            allowed="a LIF or learner population",
        )
    rule = projection.rule
    if third_factor and any(trace != NO_TRACE for trace in (rule.y1, rule.y2, rule.y3)):
        raise UnsupportedError(
            "HSNN-I014",
            f"the rule of {name!r} makes traces y1 to y3, which the neurons of {projection.post!r} send",
            allowed="impulses and time constants of 0 for y1, y2 and y3",
        )


_STRANGERS = SigmaDeltaPopulation | ResonatorPopulation | CountingLifPopulation


def check_company(network: IntegerNetwork) -> None:
    """Check that a network that learns holds only neurons that learning engines know.

    Raises:
        UnsupportedError: ``HSNN-I015``.
    """
    for population in network.populations:
        if isinstance(population, _STRANGERS):
            raise UnsupportedError(
                "HSNN-I015",
                f"network {network.name!r} learns and has {_unknown(population)} {population.name!r}",
                allowed="LIF, integrator and learner populations beside synapses that learn",
                fix="put them into a segment of their own",
            )


def _unknown(population: SigmaDeltaPopulation | ResonatorPopulation | CountingLifPopulation) -> str:
    if isinstance(population, CountingLifPopulation):
        return "neurons that count"
    return "resonators" if isinstance(population, ResonatorPopulation) else "sigma-delta neurons"


def check_learner(network: IntegerNetwork, population: LearnerPopulation) -> None:
    """Check neurons that send a third factor.

    Raises:
        HsnnError: ``HSNN-I001``.
    """
    name, shape = population.name, population.shape
    require(len(shape) == 2, f"learners {name!r} have shape {shape}", "(classes, neurons of a column)")
    require(
        population.reset == "none" and not population.refractory,
        f"learners {name!r} have reset {population.reset!r} and refractory time {population.refractory}",
        "none and 0",
    )
    for what in ("reward", "penalty", "stability_up", "stability_down"):
        value = getattr(population, what)
        require(0 <= value <= AMOUNT_MAX, f"{what} of {name!r} is {value}", f"0 to {AMOUNT_MAX}")
    margin = population.recruit_margin
    require(0 <= margin <= rules.VOLTAGE_MAX, f"recruit_margin of {name!r} is {margin}", f"0 to {rules.VOLTAGE_MAX}")
    _within(population.stability, np.int32, shape, (0, learning.STABILITY_MAX), f"stabilities of {name!r}")
    _within(population.recruited, np.int32, shape, (0, 1), f"recruits of {name!r}")
    _check_label(network, population)


def _check_label(network: IntegerNetwork, population: LearnerPopulation) -> None:
    name, label = population.name, population.label
    ports = [port for port in network.inputs if port.name == label]
    classes = population.shape[0]
    require(
        len(ports) == 1 and _is_label(ports[0], classes),
        f"learners {name!r} get labels from {label!r}",
        f"an input of one neuron with payloads of 0 to {classes}",
    )
    users = [p.name for p in network.populations if getattr(p, "label", None) == label]
    users += [p.name for p in network.projections if p.pre == label]
    require(users == [name], f"label port {label!r} goes to {', '.join(users)}", "one population and no projection")


def _is_label(port: InputPort, classes: int) -> bool:
    return size(port.shape) == 1 and len(port.shape) == 1 and port.max_payload == classes and not port.signed


def _within(
    array: NDArray[np.signedinteger], dtype: type[np.signedinteger], shape: Shape, limits: tuple[int, int], what: str
) -> None:
    require(
        array.dtype == dtype and array.shape == shape,
        f"{what} are {array.dtype} {array.shape}",
        f"{dtype.__name__} {shape}",
    )
    low, high = limits
    fits = not array.size or (int(array.min()) >= low and int(array.max()) <= high)
    require(fits, f"{what} reach from {array.min(initial=0)} to {array.max(initial=0)}", f"{low} to {high}")
