"""Write the integers of a spiking segment as a ``.net`` file that netx loads and runs.

netx knows chains of dense, recurrent and convolutional layers with CUBA or sigma-delta neurons, and of dense ones with
resonators; one input and one output. What has no layer there becomes a dense one that computes the same: pools and
transposed convolutions that are no convolutions any more, convolutions behind them or into resonators. Everything else
is refused by name: what netx would ignore or compute otherwise is never written.

Source of the types: lava-dl 0.6.0, ``slayer/block/base.py`` (``export_hdf5``); it reads them in ``netx/hdf5.py``.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.frontends.netx.raw import require_h5py
from hsnn.frontends.netx.write_checks import check_ends, check_timing, enters
from hsnn.frontends.netx.write_neurons import cuba_fields, delta_fields, sigma_delta_fields
from hsnn.frontends.netx.write_resonators import resonator_fields
from hsnn.frontends.netx.write_synapses import (
    Synapses,
    axonal_delays,
    chain_of,
    entry_into,
    matrix_of,
    refused,
    synapses_into,
    weights_of,
)
from hsnn.ir.populations import (
    InputPort,
    IntegratorPopulation,
    LifPopulation,
    Population,
    ResonatorPopulation,
    SigmaDeltaPopulation,
)
from hsnn.ir.shape import both_parts, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hsnn.ir.integer import IntegerNetwork
    from hsnn.ir.projections import ConvProjection
    from hsnn.ir.shape import Shape

    Ints = NDArray[np.int64]
    Fields = dict[str, Any]


def net_bytes(network: IntegerNetwork) -> bytes:
    """Return a segment as a ``.net`` file; equal networks give equal bytes.

    Args:
        network: A valid segment.

    Raises:
        UnsupportedError: ``HSNN-F079``, naming what netx does not know; all reasons at once.
        UsageError: ``HSNN-F073``, if h5py is not installed.
    """
    layers = net_layers(network)
    require_h5py()
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["simulation/tSample"] = network.timesteps
        root = file.create_group("layer")
        for index, layer in enumerate(layers):
            group = root.create_group(str(index))
            for name, value in layer.items():
                if name == "type":
                    group.create_dataset(name, (1,), "S10", [str(value).encode()])
                else:
                    group.create_dataset(name, data=value)
    return stream.getvalue()


def net_layers(network: IntegerNetwork) -> list[Fields]:
    """Return the fields of every layer, in order; raises ``HSNN-F079`` as :func:`net_bytes`."""
    synapses = _synapses(network)
    base, delays = axonal_delays(synapses, network)
    loops = {name for name, item in synapses.items() if item.recurrent is not None}
    reasons = check_timing(network, base, delays, loops)
    writer = _Writer(network, synapses, delays)
    for population in network.populations:
        try:
            writer.add(population)
        except UnsupportedError as error:
            reasons.append(error)
    if reasons:
        raise UnsupportedError.joined(reasons)
    # What an input layer sends is as late as what others send; a network that reads its input at once has none.
    first = network.populations[0]
    at_once = base > 0 and not enters(first) and not synapses[first.name].delays.any()
    return writer.layers[1:] if at_once else writer.layers


def schedule_of(network: IntegerNetwork) -> str:
    """Return the schedule with which hsnn reads the file of a segment as that segment; raises as :func:`net_bytes`."""
    base, _ = axonal_delays(_synapses(network), network)
    changes = isinstance(network.populations[0], SigmaDeltaPopulation)
    return "lava" if base == int(changes) else "slayer"


def _synapses(network: IntegerNetwork) -> dict[str, Synapses]:
    """Put together what leads into each population of a chain."""
    reasons = check_ends(network)
    if reasons:
        raise UnsupportedError.joined(reasons)
    synapses: dict[str, Synapses] = {}
    for before, population in chain_of(network):
        try:
            into = entry_into if enters(population) and isinstance(before, InputPort) else synapses_into
            synapses[population.name] = into(network, before, population)
        except UnsupportedError as error:
            reasons.append(error)
    if reasons:
        raise UnsupportedError.joined(reasons)
    return synapses


def chain_names(layers: Sequence[Fields]) -> list[str]:
    """Names of the layers' types, for people.

    >>> chain_names([{"type": "input"}, {"type": "dense"}])
    ['input', 'dense']
    """
    return [str(layer["type"]) for layer in layers]


@dataclass(slots=True)
class _Writer:
    """Writes one layer after the other.

    Attributes:
        network: What is written.
        synapses: What leads into each population.
        delays: Axonal delays, of those that have some.
        layers: Layers so far.
        sent: Shape of what the last of them sends.
    """

    network: IntegerNetwork
    synapses: dict[str, Synapses]
    delays: dict[str, Ints]
    layers: list[Fields] = field(init=False)
    sent: Shape = field(init=False)

    def __post_init__(self) -> None:
        (port,) = self.network.inputs
        self.layers, self.sent = [{"type": "input", "shape": np.array(port.shape, np.int64)}], port.shape

    def add(self, population: Population) -> None:
        """Add the layer of a population, or its neurons to the input layer.

        Raises:
            UnsupportedError: ``HSNN-F079``, naming what netx does not know.
        """
        found, before = self.synapses[population.name], self.sent
        if enters(population) and len(self.layers) == 1:
            assert isinstance(population, SigmaDeltaPopulation)
            self.layers[0] |= delta_fields(population)
            return
        delays = self.delays.get(population.name)
        dense = found.recurrent is not None or delays is not None or isinstance(population, ResonatorPopulation)
        if found.conv is not None and len(before) == 3 and not dense:
            self.sent = population.shape
            fields = self._neurons(population, population.shape[0])
            self._append({**_conv_fields(found.conv), "shape": np.array(self.sent, np.int64), **fields})
            return
        if len(before) == 3:
            self._append({"type": "flatten", "shape": np.array([size(before), 1, 1], np.int64)})
        count = size(population.shape)
        self.sent = (count,)
        matrix = self._matrix(population, found)
        extra: Fields = {} if delays is None else {"delay": delays.astype(np.float32)}
        if isinstance(population, ResonatorPopulation):
            fields = resonator_fields(population, matrix, found)
        else:
            fields = {"weight": weights_of(matrix, found.names), **self._neurons(population, count)}
        kind = "dense"
        if found.recurrent is not None:
            kind, extra = "dense_rec", {**extra, "weight_rec": weights_of(found.recurrent, found.names)}
            if delays is not None:
                allowed = "no delays there: netx scales the weights of such a layer wrongly"
                raise refused(f"{population.name!r} has axonal delays and synapses to itself", allowed)
        shape = {"shape": np.array([count], np.int64), "inFeatures": matrix.shape[1], "outFeatures": count}
        self._append({"type": kind, **shape, **fields, **extra})

    def _append(self, layer: Fields) -> None:
        self.layers.append(layer)

    def _matrix(self, population: Population, found: Synapses) -> Ints:
        if found.matrix is not None:
            return found.matrix
        assert found.conv is not None
        received = both_parts(population.shape) if isinstance(population, ResonatorPopulation) else population.shape
        return matrix_of(found.conv, self.network.source(found.conv.pre).shape, received)

    def _neurons(self, population: Population, channels: int) -> Fields:
        if isinstance(population, SigmaDeltaPopulation):
            return sigma_delta_fields(population, channels, last=population is self.network.populations[-1])
        assert isinstance(population, LifPopulation | IntegratorPopulation)
        return cuba_fields(population, channels)


def _conv_fields(link: ConvProjection) -> Fields:
    pairs = {
        "kernelSize": link.weights.shape[2:],
        "stride": link.stride,
        "padding": link.padding,
        "dilation": link.dilation,
    }
    return {
        "type": "conv",
        "inChannels": link.weights.shape[1] * link.groups,
        "outChannels": link.weights.shape[0],
        "groups": link.groups,
        "weight": weights_of(link.weights.astype(np.int64) << link.weight_exp, link.name),
        **{name: np.array(pair, np.int64) for name, pair in pairs.items()},
    }
