"""The compiled form of a network: flat arrays that the kernels read, and the scratch they work in.

One kernel runs every network, so it is compiled once per machine and never per network. What makes
networks differ is data: records (``COMPONENT`` to ``NODE``) that point into two arrays, ``weights``
and ``tables``. Offsets count elements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int8: TypeAlias = NDArray[np.int8]
    Int16: TypeAlias = NDArray[np.int16]
    Int32: TypeAlias = NDArray[np.int32]
    Int64: TypeAlias = NDArray[np.int64]
    UInt8: TypeAlias = NDArray[np.uint8]
    Weights: TypeAlias = Int8 | Int16
    Record: TypeAlias = np.void
    Records: TypeAlias = NDArray[np.void]


TILE = 64
"""Neurons that are updated together; populations are padded to it with neurons that never fire."""
U, V, HELD, KEEP_U, KEEP_V, BIAS, THRESHOLD, AMOUNT = range(8)
"""What a tile holds, each ``TILE`` int32: state first, then parameters; a keep is 4096 less a decay."""
FIELDS, STATES = 8, 3
PORT, CONSTANT, NEURONS = range(3)
DENSE, CONV, SPARSE = range(3)
INTEGRATE_FIRE, SIGMA_DELTA, ADAPTIVE, COUNTING, PHASE, IZHIKEVICH = range(6)
STATE_SHIFT = 6
ALWAYS = 1 << 40
"""A ``limit`` that no number of events passes."""


def padded(count: int) -> int:
    """Round up to whole tiles."""
    return -(-count // TILE) * TILE


def _record(*fields: str) -> np.dtype[np.void]:
    return np.dtype([(name, np.int64) for name in fields])


COMPONENT = _record("first", "last", "recurrent")
"""Populations ``first .. last - 1`` that run together: one, or a cycle that runs timestep by timestep."""

POPULATION = _record(
    "node",  # its node, or -1 for read-out neurons
    "count",  # neurons
    "first_tile",
    "tiles",
    "first_group",
    "groups",
    "subtract",  # whether a spike takes AMOUNT off instead of clearing the voltage
    "refractory",
    "order_at",  # tables[order_at + i] is the index in the network of the kernels' neuron i
    "model",  # whose rules its neurons follow
    "graded",  # whether it sends payloads, which lie among its sums
    "sums",  # distance of timesteps' sums: at least one a neuron of its tiles, two of resonators
    "parts_at",  # PHASE, IZHIKEVICH: tables[parts_at + i] is the sum of the real part of neuron i, and, as many
    # neurons further on as its tiles have, that of the imaginary part
    "message_shift",  # SIGMA_DELTA: fields of hsnn.ir.populations.SigmaDeltaPopulation
    "accumulate",
    "rectify",
    "keep_rest",
    "max_spikes",  # COUNTING: field of hsnn.ir.populations.CountingLifPopulation
)

GROUP = _record("first", "last", "exponent", "wrap")
"""Projections ``first .. last - 1`` that share one sum, its shift, and whether it wraps at 24 bits."""

PROJECTION = _record(
    "kind",
    "node",  # where the spikes come from
    "delay",
    "weights_at",
    "table_at",  # CONV, SPARSE: where the weights go; see ``pack.py``
    "sources",  # CONV: input pixels; DENSE, SPARSE: presynaptic neurons
    "channels",  # CONV: input channels
    "stride",  # DENSE: weights of a presynaptic neuron; CONV: distance of rows of input channels
    "stripe",  # DENSE: weights of a row of a stripe; the last stripe's rows may have fewer
    "bytes",  # DENSE: whether its weights are among ``Program.bytes``
    "scale",  # DENSE: left shift of these
    "counts",  # DENSE: whether payloads are counts of spikes, and these woven all the same
)

NODE = _record(
    "kind",
    "count",
    "history",  # timesteps before the window that a delay still asks for
    "events_at",  # events, packed timestep after timestep
    "payload_at",  # their payloads, or -1 where every payload is 1
    "start_at",  # where each timestep's events start; history + window + 1 entries
    "input_at",  # PORT: its place among the neurons of all ports
    "order_at",  # PORT: tables[order_at + i] is the kernels' index of the network's neuron i, where
    "ordered",  # these differ
    "number",  # its place among the nodes
    "plane_at",  # where its bytes start, one per neuron, timestep after timestep; -1 for none
    "plane_stride",  # distance of timesteps
    "kept",  # timesteps before the window of which products still ask for bytes
    "limit",  # events in a timestep up to which somebody may ask for them
    "floor",  # PORT: events in a timestep above which somebody asks for bytes
    "raised",  # PORT: what makes its lowest payload 0
    "reach",  # PORT: its largest payload above the lowest
)


class Program(NamedTuple):
    """A network as the kernels see it; never written to after planning."""

    components: Records
    populations: Records
    groups: Records
    projections: Records
    nodes: Records
    weights: Int16
    bytes: Int8
    tables: Int32


class Scratch(NamedTuple):
    """What one thread works in; its size does not depend on the batch.

    Attributes:
        tiles: State and parameters of all neurons, ``(tile, FIELDS, TILE)``.
        sums: Synaptic sums of one population, ``(group, timestep, padded neuron)``.
        fired: Spikes as bytes: planes of ``(timestep, padded neuron)``, one for each sender that vectors
            read and one that all others share; and frames of zeros around them.
        level: Spikes of each node in this window.
        events: Numbers of the neurons that fired, node after node, each timestep after timestep.
        payload: Payloads of the graded ones.
        start: Where the events of each timestep start.
        counts: Spikes of each population in this run.
        broken: One element: whether an input had a payload in this run that its port may not bring.
        told: What ``counts`` and ``broken`` are parts of, one after the other.
        ways: Windows that each projection ran as a product, then as events, where it had the choice, in all runs.

    All are flat.
    """

    tiles: Int32
    sums: Int32
    fired: UInt8
    events: Int32
    payload: Int32
    start: Int64
    level: Int64
    counts: Int64
    broken: Int64
    told: Int64
    ways: Int64


class Run(NamedTuple):
    """Input, results and sizes of one run; all arrays are flat.

    Attributes:
        inputs: Port after port, each ``(timestep, input sample, neuron)``; empty where ``narrow`` is not.
        narrow: The same as bytes, if no port is graded and all were given so.
        input_samples: Samples in ``inputs``; it may hold a part of the batch.
        samples: Samples in the results.
        timesteps: Timesteps of a sample.
        window: Timesteps that are worked on together.
        first, last: The samples to run are ``first .. last - 1`` of the batch.
        first_input: The first of these in ``inputs``.
        sent: Population after population, each ``(timestep, sample, neuron)``; 0 at first.
        sent_at: Where each population's part of ``sent`` starts, or -1.
        final: Population after population, each ``(2, sample, neuron)``: current, then voltage.
        final_at: Where each population's part of ``final`` starts, or -1.
        bits: Population after population, each ``(timestep, sample, byte of eight neurons)``.
        bits_at: Where each population's part of ``bits`` starts, or -1.
        states: Population after population, each ``(2, timestep, sample, neuron)``: currents, then voltages.
        states_at: Where each population's part of ``states`` starts, or -1.
    """

    inputs: Int32
    narrow: UInt8
    input_samples: int
    samples: int
    timesteps: int
    window: int
    first: int
    last: int
    first_input: int
    sent: Int32
    sent_at: Int64
    final: Int32
    final_at: Int64
    bits: UInt8
    bits_at: Int64
    states: Int32
    states_at: Int64


_INT, _LONG, _BYTE = np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.uint8)
NO_RUN = Run(_INT, _BYTE, 0, 0, 0, 0, 0, 0, 0, _INT, _LONG, _INT, _LONG, _BYTE, _LONG, _INT, _LONG)
"""A run of no samples."""


CLEAR, READ, OPEN, RECEIVE, UPDATE, SEND, ADVANCE, CLOSE = range(8)
"""What a :class:`Part` is: states set to zero (tiles); a port read into bytes (timesteps); ports and constant sources
turned into events; for components of populations their synaptic input (timesteps), their neurons (tiles), what they
send, or all three; and what ends a window."""


class Part(NamedTuple):
    """A part of one sample. Other threads may run other parts of its kind in the same scratch meanwhile.

    Attributes:
        what: ``CLEAR`` or another of these.
        first, last: Components ``first .. last - 1``; for ``READ`` and ``OPEN`` the first is the node that is, or was,
            read in parts, or -1.
        begin, end: Timesteps or tiles ``begin .. end - 1``, where there may be several parts of a kind.
        origin: First timestep of the window.
        run: The sample, and where its results go.
    """

    what: int
    first: int
    last: int
    begin: int
    end: int
    origin: int
    run: Run


NO_PART = Part(CLOSE, 0, 0, 0, 0, 0, NO_RUN)
"""The end of a sample of no timesteps."""


class Place(NamedTuple):
    """Where a run stands: sample of the results, sample of the inputs, first timestep of the window."""

    sample: int
    input_sample: int
    origin: int


class Span(NamedTuple):
    """Timesteps ``first .. last - 1`` of a window, of ``begin .. end - 1``, whose sums lie in scratch together."""

    first: int
    last: int
    begin: int
    end: int
