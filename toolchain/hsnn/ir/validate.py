"""Check that an IntegerNetwork keeps its contract, and that a batch fits it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import UsageError
from hsnn.ir import arithmetic as rules
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plastic import LearnerPopulation, PlasticProjection, needs_learning_engine
from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    ConstantSource,
    InputPort,
    LifPopulation,
    Neuron,
    ResonatorPopulation,
    SigmaDeltaPopulation,
    largest_payload,
    received_shape,
    sends,
)
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.shape import Shape, size
from hsnn.ir.validate_plastic import check_company, check_ends, check_learner, check_plastic
from hsnn.ir.validate_plastic import require as _require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.arithmetic import SignMode

WEIGHT_EXP_MAX = 15
MESSAGE_SHIFT_MAX = 16
SUM_BITS_MAX = 62
"""Bits that the sum of a convolution may take before it wraps at 24: Lava computes it in float64 and casts it."""
ACCUMULATOR_MAX = (1 << 31) - 1
CHECKED_TOGETHER = 1 << 18
"""Weights that are looked at together: few enough for a cache."""


def validate_network(network: IntegerNetwork) -> None:
    """Check every rule of the contract.

    Raises:
        HsnnError: ``HSNN-I001``, naming the object, what was found and what is allowed.
    """
    _require(network.timesteps >= 1, f"segment {network.name!r} has {network.timesteps} timesteps", "1 or more")
    names = [item.name for item in (*network.inputs, *network.populations)]
    _require_unique(names, "port or population")
    _require_unique([p.name for p in network.projections], "projection")
    for population in network.populations:
        if not isinstance(population, ConstantSource):
            _check_neuron(population)
        if isinstance(population, LearnerPopulation):
            check_learner(network, population)
    order = {name: index for index, name in enumerate(names)}
    if needs_learning_engine(network):
        check_company(network)
    for projection in network.projections:
        _check_projection(network, projection, order)
    for port in network.inputs:
        _require(
            1 <= port.max_payload < rules.STATE_LIMIT,
            f"input {port.name!r} has max_payload {port.max_payload}",
            "1 to 2**23 - 1",
        )
    for output in network.outputs:
        _require(output in order, f"output {output!r} names nothing in segment {network.name!r}", ", ".join(names))
        _require(
            not isinstance(network.source(output), ConstantSource),
            f"output {output!r} is a constant source",
            "ports and neuron populations",
        )


def validate_inputs(network: IntegerNetwork, inputs: Mapping[str, NDArray[np.int32]]) -> int:
    """Check a batch against the ports and return its size.

    Raises:
        UsageError: ``HSNN-R001``, if a port is missing, or a shape, dtype or payload is wrong.
    """
    batch = count_samples(network, inputs)
    for port in network.inputs:
        array = inputs[port.name]
        low = -port.max_payload if port.signed else 0
        if array.size and (int(array.min()) < low or int(array.max()) > port.max_payload):
            raise UsageError(
                "HSNN-R001",
                f"input {port.name!r} has payloads {array.min()} to {array.max()}",
                allowed=f"{low} to {port.max_payload}",
            )
    return batch


def count_samples(network: IntegerNetwork, inputs: Mapping[str, NDArray[np.int32]]) -> int:
    """Check the arrays of a batch, but not their payloads, and return its size.

    Raises:
        UsageError: ``HSNN-R001``, if a port is missing, or a shape or dtype is wrong.
    """
    batches = set()
    for port in network.inputs:
        array = inputs.get(port.name)
        if array is None:
            raise UsageError("HSNN-R001", f"segment {network.name!r} got no spikes for input {port.name!r}")
        if array.dtype != np.int32 or array.ndim != 2 + len(port.shape):
            raise UsageError(
                "HSNN-R001",
                f"input {port.name!r} is {array.dtype} with {array.ndim} axes",
                allowed=f"int32 with {2 + len(port.shape)} axes (timestep, batch, *feature)",
            )
        if array.shape[0] != network.timesteps or array.shape[2:] != port.shape:
            raise UsageError(
                "HSNN-R001",
                f"input {port.name!r} has shape {array.shape}",
                allowed=f"({network.timesteps}, batch, {', '.join(map(str, port.shape))})",
            )
        batches.add(array.shape[1])
    if len(batches) > 1:
        raise UsageError(
            "HSNN-R001",
            f"inputs of segment {network.name!r} have batch sizes {sorted(batches)}",
            allowed="one batch size",
        )
    batch = batches.pop() if batches else 1
    if batch == 0:
        raise UsageError("HSNN-R001", f"segment {network.name!r} got a batch of 0 samples", allowed="1 or more")
    return batch


def conv_output_shape(projection: ConvProjection, pre: Shape) -> Shape:
    """Feature shape that a convolution gives for a ``(C, H, W)`` source."""
    spatial = (
        (extent + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        for extent, pad, dilation, kernel, stride in zip(
            pre[1:],
            projection.padding,
            projection.dilation,
            projection.weights.shape[2:],
            projection.stride,
            strict=True,
        )
    )
    return (projection.weights.shape[0], *spatial)


def _require_unique(names: list[str], kind: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    _require(not twice, f"more than one {kind} is called {', '.join(twice)}", "unique names")


def _within(array: NDArray[np.int32], shape: Shape, low: int, high: int, what: str) -> None:
    _require(
        array.dtype == np.int32 and array.shape in ((), shape),
        f"{what} is {array.dtype} of shape {array.shape}",
        f"int32 of shape () or {shape}",
    )
    _require(
        bool(np.all((array >= low) & (array <= high))), f"{what} is {array.min()} to {array.max()}", f"{low} to {high}"
    )


def _check_neuron(neuron: Neuron) -> None:
    name, shape = neuron.name, neuron.shape
    _require(size(shape) > 0, f"population {name!r} has shape {shape}", "at least one neuron")
    if isinstance(neuron, SigmaDeltaPopulation):
        _check_sigma_delta(neuron)
        return
    if isinstance(neuron, ResonatorPopulation):
        _check_resonator(neuron)
        return
    _within(neuron.du, shape, -1, rules.DECAY_ONE - 1, f"du of {name!r}")
    _within(neuron.dv, shape, 0, rules.DECAY_ONE, f"dv of {name!r}")
    _within(neuron.bias_mant, shape, rules.BIAS_MANT_MIN, rules.BIAS_MANT_MAX, f"bias_mant of {name!r}")
    _require(0 <= neuron.bias_exp <= rules.BIAS_EXP_MAX, f"bias_exp of {name!r} is {neuron.bias_exp}", "0 to 7")
    if isinstance(neuron, LifPopulation):
        if isinstance(neuron, AdaptiveLifPopulation):
            _check_adaptive(neuron)
        _within(neuron.threshold, shape, 0, rules.VOLTAGE_MAX, f"threshold of {name!r}")
        _within(neuron.reset_amount, shape, 0, rules.STATE_LIMIT, f"reset_amount of {name!r}")
        _require(0 <= neuron.refractory <= 64, f"refractory of {name!r} is {neuron.refractory}", "0 to 64")
        _require(
            neuron.reset in ("zero", "subtract", "none"),
            f"reset of {name!r} is {neuron.reset!r}",
            "zero, subtract or none",
        )


def _check_adaptive(neuron: AdaptiveLifPopulation) -> None:
    name, shape = neuron.name, neuron.shape
    _within(neuron.threshold_decay, shape, 0, rules.DECAY_ONE, f"threshold_decay of {name!r}")
    _within(neuron.refractory_decay, shape, 0, rules.DECAY_ONE, f"refractory_decay of {name!r}")
    _within(neuron.threshold_step, shape, 0, rules.VOLTAGE_MAX, f"threshold_step of {name!r}")
    _require(
        neuron.reset == "none" and neuron.refractory == 0,
        f"{name!r} adapts, and has reset {neuron.reset!r} and {neuron.refractory} refractory timesteps",
        "reset none and 0 timesteps",
    )


def _check_resonator(neuron: ResonatorPopulation) -> None:
    name, shape = neuron.name, neuron.shape
    _require(bool(shape), f"resonators {name!r} have no axis", "one axis or more: parts take turns along the first")
    _within(neuron.cos_decay, shape, -rules.DECAY_ONE, rules.DECAY_ONE, f"cos_decay of {name!r}")
    _within(neuron.sin_decay, shape, -rules.DECAY_ONE, rules.DECAY_ONE, f"sin_decay of {name!r}")
    _within(neuron.threshold, shape, 0, rules.VOLTAGE_MAX, f"threshold of {name!r}")
    _require(
        neuron.firing in ("phase", "izhikevich"), f"firing of {name!r} is {neuron.firing!r}", "phase or izhikevich"
    )


def _check_sigma_delta(neuron: SigmaDeltaPopulation) -> None:
    name, shape, bound = neuron.name, neuron.shape, (1 << 31) - 1
    _within(neuron.threshold, shape, 0, bound, f"threshold of {name!r}")
    _within(neuron.bias, shape, -bound * neuron.accumulate, bound * neuron.accumulate, f"bias of {name!r}")
    shift = neuron.message_shift
    _require(0 <= shift <= MESSAGE_SHIFT_MAX, f"message_shift of {name!r} is {shift}", f"0 to {MESSAGE_SHIFT_MAX}")
    _require(neuron.accumulate or not neuron.rectify, f"{name!r} rectifies its input itself", "a sum to rectify")


def _check_projection(network: IntegerNetwork, projection: Projection, order: Mapping[str, int]) -> None:
    name = projection.name
    for end in (projection.pre, projection.post):
        _require(end in order, f"projection {name!r} joins {end!r}, which is not in the segment", ", ".join(order))
    pre, post = network.source(projection.pre), network.source(projection.post)
    _require(
        not isinstance(post, InputPort | ConstantSource),
        f"projection {name!r} ends at {post.name!r}",
        "a neuron population",
    )
    _require(0 <= projection.delay <= rules.DELAY_MAX - 1, f"delay of {name!r} is {projection.delay}", "0 to 62")
    _require(
        projection.delay > 0 or order[pre.name] < order[post.name],
        f"projection {name!r} leads back without a delay",
        "a delay of 1 or more on every cycle",
    )
    _require(
        sends(pre),
        f"projection {name!r} starts at read-out neurons {pre.name!r}",
        "an input, constant source, or a population that sends spikes or messages",
    )
    _require(
        0 <= projection.weight_exp <= WEIGHT_EXP_MAX, f"weight_exp of {name!r} is {projection.weight_exp}", "0 to 15"
    )
    _check_weights(projection, pre.shape, received_shape(post))
    if isinstance(projection, ConvProjection):
        _check_sums(projection, largest_payload(pre)[0])
    if isinstance(projection, PlasticProjection):
        check_ends(network, projection, third_factor=isinstance(post, LearnerPopulation))


def _check_weights(projection: Projection, pre: Shape, post: Shape) -> None:
    name = projection.name
    weights = projection.data if isinstance(projection, SparseProjection) else projection.weights
    sign_mode: SignMode = "mixed"
    bits = 8
    match projection:
        case PlasticProjection():
            check_plastic(projection, pre, post)
            return
        case DenseProjection():
            sign_mode, bits = projection.sign_mode, projection.num_weight_bits
            _require(1 <= bits <= 8, f"num_weight_bits of {name!r} is {bits}", "1 to 8")
            wanted = (size(post), size(pre))
            _require(weights.shape == wanted, f"weights of {name!r} have shape {weights.shape}", str(wanted))
        case ConvProjection():
            _check_convolution(projection, pre, post)
        case SparseProjection():
            _check_sparse(projection, size(pre), size(post))
    _require(weights.dtype == np.int16, f"weights of {name!r} are {weights.dtype}", "int16")
    _require(
        _truncated(weights, sign_mode, bits),
        f"weights of {name!r} change when Lava clips and truncates them",
        f"effective weights for {sign_mode}, {bits} bits",
    )


def _truncated(weights: NDArray[np.int16], sign_mode: SignMode, bits: int) -> bool:
    """Whether weights stay as they are when they are truncated; rows at a time, since there may be very many."""
    rows = max(CHECKED_TOGETHER * len(weights) // max(weights.size, 1), 1)
    parts = (weights[first : first + rows] for first in range(0, len(weights), rows))
    return all(np.array_equal(rules.truncate_weights(part, sign_mode, bits), part) for part in parts)


def _check_convolution(projection: ConvProjection, pre: Shape, post: Shape) -> None:
    weights, groups = projection.weights, projection.groups
    _require(
        len(pre) == 3
        and weights.ndim == 4
        and weights.shape[1] * groups == pre[0]
        and weights.shape[0] % groups == 0
        and conv_output_shape(projection, pre) == post,
        f"convolution {projection.name!r} of {pre} by {weights.shape} in {groups} groups does not give {post}",
        "shapes that agree",
    )


def _check_sums(projection: ConvProjection, payload: int) -> None:
    largest = int(np.abs(projection.weights.astype(np.int64)).sum(axis=(1, 2, 3)).max()) * payload
    _require(
        largest < 1 << 53 and largest << projection.weight_exp < 1 << SUM_BITS_MAX,
        f"convolution {projection.name!r} sums up to {largest} << {projection.weight_exp}",
        "weights and payloads whose sums are exact in float64 and, shifted, in 62 bits",
    )


def _check_sparse(projection: SparseProjection, pre: int, post: int) -> None:
    data, indices, indptr = projection.data, projection.indices, projection.indptr
    _require(
        indptr.shape == (post + 1,)
        and indices.shape == data.shape
        and int(indptr[0]) == 0
        and int(indptr[-1]) == data.size
        and bool(np.all(np.diff(indptr) >= 0)),
        f"row pointers of {projection.name!r} do not describe {data.size} synapses onto {post} neurons",
        "compressed sparse rows",
    )
    _require(
        data.size == 0 or (int(indices.min()) >= 0 and int(indices.max()) < pre),
        f"indices of {projection.name!r} leave the {pre} neurons that they come from",
        "0 to neurons - 1",
    )
