"""Memory for the results of a run, and their shape for the caller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hsnn.errors import RunError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import ConstantSource, Neuron, sends
from hsnn.ir.shape import Shape, size
from hsnn.packed_spikes import PackedSpikes
from hsnn.recording import Recording
from hsnn.target import SegmentResult
from hsnn_targets.emulator.arguments import address_of
from hsnn_targets.emulator.memory import room_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.validate_batch import Inputs
    from hsnn_targets.emulator.tables import Int32, Int64


KEPT_PLACES = 16
"""Sizes of batches whose places a layout keeps: most runs have the size of the one before."""
NONE, NO_BITS = np.zeros(0, np.int32), np.zeros(0, np.uint8)


@dataclass(frozen=True, slots=True)
class Part:
    """Results of one kind in one flat array, population after population.

    Attributes:
        at: Where each population's starts for a batch of one sample, or -1 where it has none.
        size: Elements for a batch of one sample.
    """

    at: Int64
    size: int

    def places(self, batch: int) -> Int64:
        """Where each population's starts for a batch, or a negative number where it has none."""
        return self.at * batch if self.size and batch > 1 else self.at


class Places(NamedTuple):
    """Where each population's results start for a batch, by kind.

    Attributes:
        words: The arrays as words, each behind that of an empty array of results, but for the first.
        outputs: Name, start, end and shape of what each output that is a population sends, in ``sent``.
        packed: Name, start, end and shape of each population's packed spikes, then what they are packed from: shape,
            and order of axes.
    """

    sent: Int64
    final: Int64
    bits: Int64
    states: Int64
    words: tuple[int, ...]
    outputs: tuple[tuple[str, int, int, Shape], ...]
    packed: tuple[tuple[str, int, int, Shape, Shape, Shape], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the results of a network lie, found once.

    Attributes:
        network: The network.
        place: Place of each population among the neurons of the program.
        shapes: Feature shapes of these.
        spiking: Names whose spikes are counted.
        trace: Whether spikes and final states of all populations are kept.
        sent, final, bits, states: See :class:`hsnn_targets.emulator.tables.Run`.
    """

    network: IntegerNetwork
    place: Mapping[str, int]
    shapes: tuple[Shape, ...]
    spiking: tuple[str, ...]
    trace: bool
    sent: Part
    final: Part
    bits: Part
    states: Part
    _places: dict[int, Places] = field(init=False, repr=False, default_factory=dict)

    def places(self, batch: int) -> Places:
        """Where the results of a batch lie."""
        found = self._places.get(batch)
        if found is None:
            if len(self._places) >= KEPT_PLACES:
                self._places.clear()
            sent, final, bits, states = (p.places(batch) for p in (self.sent, self.final, self.bits, self.states))
            words = (*_words(sent), 0, 0, *_words(final), 0, 0, *_words(bits), 0, 0, *_words(states))
            found = Places(
                sent, final, bits, states, words, tuple(self._outputs(sent, batch)), tuple(self._packed(bits, batch))
            )
            self._places[batch] = found
        return found

    def _outputs(self, sent: Int64, batch: int) -> Iterator[tuple[str, int, int, Shape]]:
        for name in self.network.outputs:
            if name in self.place:
                place = self.place[name]
                shape = (self.network.timesteps, batch, *self.shapes[place])
                yield name, int(sent[place]), int(sent[place]) + size(shape), shape

    def _packed(self, bits: Int64, batch: int) -> Iterator[tuple[str, int, int, Shape, Shape, Shape]]:
        for name in self.spiking if self.bits.size else ():
            place = self.place[name]
            feature = self.shapes[place]
            shape = (self.network.timesteps, batch, -(-size(feature) // 8))
            axes = (1, 2, 0) if len(feature) == 3 else tuple(range(len(feature)))
            yield name, int(bits[place]), int(bits[place]) + size(shape), shape, (*shape[:2], *feature), axes

    @property
    def plain(self) -> bool:
        """Whether there is nothing besides outputs and counts."""
        return not (self.trace or self.bits.size or self.states.size)

    @property
    def sample_bytes(self) -> int:
        """Bytes that the results of a sample take."""
        return 4 * (self.sent.size + self.final.size + self.states.size) + self.bits.size


def lay_out(
    network: IntegerNetwork, neurons: tuple[Neuron, ...], *, trace: bool = False, recording: Recording | None = None
) -> Layout:
    """Lay out the results of a network whose program has these neurons in this order."""
    spiking = [sends(neuron) for neuron in neurons]
    named = [neuron.name in network.outputs for neuron in neurons]
    counts, steps = np.array([size(neuron.shape) for neuron in neurons], np.int64), network.timesteps
    states = recording is not None and recording.states
    return Layout(
        network,
        {neuron.name: place for place, neuron in enumerate(neurons)},
        tuple(neuron.shape for neuron in neurons),
        tuple(p.name for p in network.neurons if sends(p)),
        trace,
        sent=_part(counts * steps, [n or (trace and s) for n, s in zip(named, spiking, strict=True)]),
        final=_part(counts * 2, [trace] * len(neurons)),
        bits=_part(-(-counts // 8) * steps, [s and recording is not None for s in spiking]),
        states=_part(counts * (2 * steps), [states] * len(neurons)),
    )


class Results:
    """Flat arrays that the kernels write: what populations sent, final states, and what is recorded.

    Attributes:
        sent, sent_at, final, final_at, bits, bits_at, states, states_at: See
            :class:`hsnn_targets.emulator.tables.Run`.
        batch: Samples.
    """

    def __init__(self, layout: Layout, batch: int) -> None:
        self.batch = batch
        self._layout = layout
        self._places = layout.places(batch)
        self.sent_at, self.final_at, self.bits_at, self.states_at = self._places[:4]
        needed = batch * layout.sample_bytes
        room = room_for(needed)
        if room is not None and needed > room:
            raise _too_large(layout.network, batch, needed, room)
        try:
            self.sent = np.zeros(layout.sent.size * batch, np.int32)
            self.final = np.zeros(layout.final.size * batch, np.int32) if layout.final.size else NONE
            self.bits = np.zeros(layout.bits.size * batch, np.uint8) if layout.bits.size else NO_BITS
            self.states = np.zeros(layout.states.size * batch, np.int32) if layout.states.size else NONE
        except MemoryError as error:
            raise _too_large(layout.network, batch, needed, room) from error

    @property
    def sent_words(self) -> tuple[int, int]:
        """``sent`` as words; see :class:`hsnn_targets.emulator.tables.Run`."""
        return _words(self.sent)

    @property
    def other_words(self) -> tuple[int, ...]:
        """What follows: the same tuple for all batches of one size where only outputs are wanted."""
        if self._layout.plain:
            return self._places.words
        words = self._places.words
        final, bits, states = (_words(own) if own.size else (0, 0) for own in (self.final, self.bits, self.states))
        return (*words[:2], *final, *words[4:6], *bits, *words[8:10], *states, *words[12:])

    def gather(self, inputs: Inputs, counted: Sequence[int]) -> SegmentResult:
        """Shape the results; ``counted`` are the spikes of each population, and maybe more."""
        layout, place = self._layout, self._layout.place
        if layout.plain:
            return SegmentResult(
                self._gather_outputs(inputs),
                spike_counts={name: counted[place[name]] for name in layout.spiking},
            )
        traced = tuple(p.name for p in layout.network.neurons) if layout.trace else ()
        recorded = tuple(place) if layout.states.size else ()
        return SegmentResult(
            outputs=self._gather_outputs(inputs),
            spikes={name: self.sent_of(place[name]) for name in layout.spiking} if layout.trace else {},
            current={name: self.final_of(place[name], 0) for name in traced},
            voltage={name: self.final_of(place[name], 1) for name in traced},
            spike_counts={name: counted[place[name]] for name in layout.spiking},
            packed=self.gather_bits(),
            currents={name: self.states_of(place[name], 0) for name in recorded},
            voltages={name: self.states_of(place[name], 1) for name in recorded},
        )

    def gather_bits(self) -> dict[str, PackedSpikes]:
        """Spikes as the kernels pack them, channels last; views."""
        return {
            name: PackedSpikes(whole, self.bits[start:end].reshape(shape), axes)
            for name, start, end, shape, whole, axes in self._places.packed
        }

    def states_of(self, place: int, state: int) -> Int32:
        """Currents (``state`` 0) or voltages (1) over time, ``(timestep, sample, *feature)``; a view."""
        shape = (self._layout.network.timesteps, self.batch, *self._layout.shapes[place])
        return _view(self.states, self.states_at[place] + state * size(shape), shape)

    def sent_of(self, place: int) -> Int32:
        """What a population sent, ``(timestep, sample, *feature)``; a view."""
        shape = (self._layout.network.timesteps, self.batch, *self._layout.shapes[place])
        return _view(self.sent, self.sent_at[place], shape)

    def final_of(self, place: int, state: int) -> Int32:
        """Final currents (``state`` 0) or voltages (1) of a population, ``(sample, *feature)``; a view."""
        shape = (self.batch, *self._layout.shapes[place])
        return _view(self.final, self.final_at[place] + state * size(shape), shape)

    def _gather_outputs(self, inputs: Inputs) -> dict[str, Int32]:
        names, sent = self._layout.network.outputs, self.sent
        found = {name: sent[start:end].reshape(shape) for name, start, end, shape in self._places.outputs}
        if len(found) == len(names):
            return found
        return {name: found[name] if name in found else self._other_output(name, inputs) for name in names}

    def _other_output(self, name: str, inputs: Inputs) -> Int32:
        """What an output that is no population sends."""
        source = self._layout.network.source(name)
        if isinstance(source, ConstantSource):
            return np.ones((self._layout.network.timesteps, self.batch, *source.shape), np.int32)
        payloads: Int32 = inputs[name].astype(np.int32, copy=False)
        return payloads


def _words(array: NDArray[Any]) -> tuple[int, int]:
    """A flat array as kernels take it."""
    return address_of(array), array.size


def _view(flat: Int32, start: int, shape: Shape) -> Int32:
    return flat[start : start + size(shape)].reshape(shape)


def _too_large(network: IntegerNetwork, batch: int, needed: int, room: int | None) -> RunError:
    """Say what the results of a batch take, and how many samples would fit."""
    fitting = 0 if room is None else room * batch // needed
    fix = f"run at most {fitting} samples at a time" if fitting else "run smaller batches"
    return RunError(
        "HSNN-R040",
        f"segment {network.name!r} needs {needed >> 20} MiB for the results of {batch} samples",
        allowed="" if room is None else f"{room >> 20} MiB, which are available",
        fix=f"{fix}, or without a trace",
    )


def _part(sizes: Int64, wanted: Sequence[bool]) -> Part:
    """Lay populations end to end, those that are wanted."""
    chosen = np.array(wanted, bool)
    taken = np.where(chosen, sizes, 0)
    ends = np.cumsum(taken)
    return Part(np.where(chosen, ends - taken, -1), int(ends[-1]) if ends.size else 0)
