"""What leads into a population, as one layer of a ``.net`` file has it: weights of a chain, and axonal delays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, Population, ResonatorPopulation
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.shape import Shape, both_parts, size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

DELAY_MAX = 62
VALUE_GAIN = 64
"""Units of a sigma-delta state per unit of the values that enter: 18 fractional bits to 12."""
_MATRIX_MAX = 1 << 26
"""Most weights of a dense layer that is written."""


@dataclass(frozen=True, slots=True, eq=False)
class Synapses:
    """Synapses of one layer.

    Attributes:
        names: Projections, for messages.
        matrix: Weights with their exponent, int64 ``(post neurons, pre neurons)``; None of a convolution.
        conv: The convolution, or None.
        delays: Timesteps that each presynaptic neuron takes, int64, flat; 0 for one without synapses.
        recurrent: Weights of the layer to itself, one timestep late, or None.
    """

    names: str
    matrix: Ints | None
    conv: ConvProjection | None
    delays: Ints
    recurrent: Ints | None = None


def refused(found: str, allowed: str) -> UnsupportedError:
    """Return the error for what netx lacks, or would compute otherwise."""
    return UnsupportedError("HSNN-F079", found, allowed=allowed, fix="run the artifact with hsnn-compile run instead")


def chain_of(network: IntegerNetwork) -> Iterator[tuple[InputPort | Population, Population]]:
    """Yield each population with what it has to read in a chain."""
    before: InputPort | Population = network.inputs[0]
    for population in network.populations:
        yield before, population
        before = population


def synapses_into(network: IntegerNetwork, before: InputPort | Population, population: Population) -> Synapses:
    """Put everything that leads into a population together.

    Raises:
        UnsupportedError: ``HSNN-F079``, naming what no layer of netx has.
    """
    links = network.into(population.name)
    loops = [item for item in links if item.pre == population.name]
    forward = [item for item in links if item.pre != population.name]
    names = ", ".join(item.name for item in links)
    if {item.pre for item in forward} != {before.name} or len(loops) > 1:
        found = f"{population.name!r} reads {', '.join(item.pre for item in links) or 'nothing'}"
        raise refused(
            found, f"a chain: projections from {before.name!r} alone, and one from itself; netx has no 'concat'"
        )
    recurrent = None
    for loop in loops:
        if loop.delay != 1 or isinstance(loop, ConvProjection):
            raise refused(f"{loop.name!r} is a loop that netx does not know", "dense synapses with a delay of 1")
        recurrent = matrix_of(loop, population.shape, population.shape)
    if len(forward) == 1 and isinstance(forward[0], ConvProjection):
        delays = np.full(size(before.shape), forward[0].delay, np.int64)
        return Synapses(names, None, forward[0], delays, recurrent)
    received = both_parts(population.shape) if isinstance(population, ResonatorPopulation) else population.shape
    total: Ints | None = None
    delays = np.full(size(before.shape), min(item.delay for item in forward), np.int64)
    for item in forward:
        part = matrix_of(item, before.shape, received)
        used = part.any(0)
        if total is not None and np.any(used & total.any(0)):
            raise refused(
                f"{names} lead from the same neurons to {population.name!r}",
                "one synapse between two neurons, with the delay that all synapses of a neuron share",
            )
        delays[used] = item.delay
        total = part if total is None else total + part
    return Synapses(names, total, None, delays, recurrent)


def entry_into(network: IntegerNetwork, before: InputPort | Population, population: Population) -> Synapses:
    """Check what leads from an input to the neurons of an input layer: each value is its own activation.

    Raises:
        UnsupportedError: ``HSNN-F079``, if it is something else, or in another unit.
    """
    links = network.into(population.name)
    names, count = ", ".join(item.name for item in links), size(before.shape)
    link = links[0] if len(links) == 1 else None
    each = np.arange(count)
    gains = None
    if isinstance(link, SparseProjection) and link.data.size == count:
        if np.array_equal(link.indices, each) and np.array_equal(link.indptr, np.arange(count + 1)):
            gains = link.data
    elif isinstance(link, DenseProjection) and np.array_equal(link.weights != 0, np.eye(count, dtype=np.bool_)):
        gains = np.diagonal(link.weights)
    if link is None or gains is None or link.delay or np.any(gains.astype(np.int64) << link.weight_exp != VALUE_GAIN):
        raise refused(
            f"{names} lead into {population.name!r}, which sends how its input changes",
            f"the values that enter, each with a weight of {VALUE_GAIN}: an input of 1/4096, as lava-dl has it",
        )
    return Synapses(names, None, None, np.zeros(count, np.int64))


def matrix_of(projection: Projection, pre: Shape, post: Shape) -> Ints:
    """Return the weights of a projection, with their exponent, as a matrix ``(post neurons, pre neurons)``.

    Raises:
        UnsupportedError: ``HSNN-F079``, if that is too large, or has sums that no weight holds.
    """
    rows, columns = size(post), size(pre)
    if rows * columns > _MATRIX_MAX:
        found = f"{projection.name!r} is a dense layer of {rows * columns:,} weights in netx"
        raise refused(found, f"up to {_MATRIX_MAX:,}")
    if isinstance(projection, ConvProjection):
        whole = _unrolled(projection, pre, post)
    elif isinstance(projection, SparseProjection):
        whole = np.zeros((rows, columns), np.int64)
        np.add.at(whole, (np.repeat(np.arange(rows), np.diff(projection.indptr)), projection.indices), projection.data)
    else:
        whole = projection.weights.astype(np.int64)
    return whole << projection.weight_exp


def _unrolled(conv: ConvProjection, pre: Shape, post: Shape) -> Ints:
    from hsnn.passes.trains.linear import ConvMap
    from hsnn.passes.trains.linear import matrix_of as unrolled

    pads = (*conv.padding, *conv.padding)
    weights = conv.weights.astype(np.float64)
    linear = ConvMap(weights, pre, post, conv.stride, pads, conv.dilation, conv.groups)
    whole: Ints = np.rint(unrolled(linear).toarray()).astype(np.int64)
    return whole


def weights_of(wide: Ints, name: str) -> NDArray[np.float32]:
    """Weights with their exponent, as lava-dl stores them.

    Args:
        wide: Weights times two to their exponent, of any shape.
        name: What they belong to, for the message.

    Returns:
        The same numbers in float32, same shape.

    Raises:
        UnsupportedError: ``HSNN-F079``, if netx cannot hold them.
    """
    if not wide.size or not wide.any():
        raise refused(f"all weights of {name!r} are 0", "at least one weight, since netx fails without")
    if wide.min() < -256 or wide.max() > 254 or np.any(wide % 2):
        found = f"weights of {name!r} reach from {wide.min()} to {wide.max()}, in units of 64"
        raise refused(found, "even weights from -256 to 254: netx has no exponent for larger ones")
    return wide.astype(np.float32)


def axonal_delays(found: dict[str, Synapses], network: IntegerNetwork) -> tuple[int, dict[str, Ints]]:
    """Split the delays of a chain into a timestep that all its populations take alike, and axonal delays.

    Args:
        found: Synapses of each population, in order.
        network: The network.

    Returns:
        That timestep, 0 or 1; and the delays beyond it of each population that has some, int64, flat.

    Raises:
        UnsupportedError: ``HSNN-F079``, if what enters the network is delayed.
    """
    (port,) = network.inputs
    pairs = [(before, found[population.name]) for before, population in chain_of(network)]
    inner = [synapses.delays for before, synapses in pairs if before is not port]
    entering = pairs[0][1].delays
    base = int(min((int(delays.min()) for delays in inner), default=int(entering.min())) >= 1)
    if entering.min() != entering.max() or entering.max() > base:
        raise refused(
            f"{pairs[0][1].names!r} has delays of {entering.min()} to {entering.max()} behind the input",
            "delays of neurons: those of its input are up to whoever feeds a network",
        )
    delays = {before.name: synapses.delays - base for before, synapses in pairs if before is not port}
    return base, {name: steps for name, steps in delays.items() if steps.any()}
