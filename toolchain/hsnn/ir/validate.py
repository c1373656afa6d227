"""Check that an IntegerNetwork keeps its contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir import arithmetic as rules
from hsnn.ir.contract import require
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plastic import LearnerPopulation, PlasticProjection, needs_learning_engine
from hsnn.ir.populations import ConstantSource, largest_payload, received_shape, sends
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection, conv_output_shape
from hsnn.ir.routes import Ends, check_route, check_unique
from hsnn.ir.shape import Shape, size
from hsnn.ir.validate_neurons import check_neuron
from hsnn.ir.validate_plastic import check_company, check_ends, check_learner, check_plastic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.arithmetic import SignMode

WEIGHT_EXP_MAX = 15
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
    require(network.timesteps >= 1, f"segment {network.name!r} has {network.timesteps} timesteps", "1 or more")
    names = [item.name for item in (*network.inputs, *network.populations)]
    check_unique(names, "port or population", require)
    check_unique([p.name for p in network.projections], "projection", require)
    for population in network.populations:
        if not isinstance(population, ConstantSource):
            check_neuron(population)
        if isinstance(population, LearnerPopulation):
            check_learner(network, population)
    ends = Ends(
        order={name: index for index, name in enumerate(names)},
        sending={item.name for item in (*network.inputs, *network.populations) if sends(item)},
        receiving={neuron.name for neuron in network.neurons},
    )
    if needs_learning_engine(network):
        check_company(network)
    for projection in network.projections:
        _check_projection(network, projection, ends)
    for port in network.inputs:
        require(
            1 <= port.max_payload < rules.STATE_LIMIT,
            f"input {port.name!r} has max_payload {port.max_payload}",
            "1 to 2**23 - 1",
        )
    for output in network.outputs:
        require(output in ends.order, f"output {output!r} names nothing in segment {network.name!r}", ", ".join(names))
        require(
            not isinstance(network.source(output), ConstantSource),
            f"output {output!r} is a constant source",
            "ports and neuron populations",
        )


def _check_projection(network: IntegerNetwork, projection: Projection, ends: Ends) -> None:
    name = projection.name
    check_route(projection, ends, require)
    pre, post = network.source(projection.pre), network.source(projection.post)
    require(
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
            require(1 <= bits <= 8, f"num_weight_bits of {name!r} is {bits}", "1 to 8")
            wanted = (size(post), size(pre))
            require(weights.shape == wanted, f"weights of {name!r} have shape {weights.shape}", str(wanted))
        case ConvProjection():
            _check_convolution(projection, pre, post)
        case SparseProjection():
            _check_sparse(projection, size(pre), size(post))
    require(weights.dtype == np.int16, f"weights of {name!r} are {weights.dtype}", "int16")
    require(
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
    require(
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
    require(
        largest < 1 << 53 and largest << projection.weight_exp < 1 << SUM_BITS_MAX,
        f"convolution {projection.name!r} sums up to {largest} << {projection.weight_exp}",
        "weights and payloads whose sums are exact in float64 and, shifted, in 62 bits",
    )


def _check_sparse(projection: SparseProjection, pre: int, post: int) -> None:
    data, indices, indptr = projection.data, projection.indices, projection.indptr
    require(
        indptr.shape == (post + 1,)
        and indices.shape == data.shape
        and int(indptr[0]) == 0
        and int(indptr[-1]) == data.size
        and bool(np.all(np.diff(indptr) >= 0)),
        f"row pointers of {projection.name!r} do not describe {data.size} synapses onto {post} neurons",
        "compressed sparse rows",
    )
    require(
        data.size == 0 or (int(indices.min()) >= 0 and int(indices.max()) < pre),
        f"indices of {projection.name!r} leave the {pre} neurons that they come from",
        "0 to neurons - 1",
    )
