"""Run a network on a device: layers over all timesteps at once, loops timestep by timestep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import pad

from hsnn.errors import RunError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import ConstantSource, sends, sends_spikes
from hsnn.ir.projections import Projection
from hsnn.ir.shape import size
from hsnn.ir.validate_batch import Inputs, validate_inputs, widen
from hsnn.packed_spikes import PackedSpikes
from hsnn.recording import Recording
from hsnn.target import Progress, SegmentResult
from hsnn_targets.emulator.blocks import Block
from hsnn_targets.emulator.components import components
from hsnn_targets.emulator.results import Results, lay_out
from hsnn_targets.gpu.memory import block_samples, is_exhausted, too_small
from hsnn_targets.gpu.neurons import Neurons, State
from hsnn_targets.gpu.rules import wrap_int32
from hsnn_targets.gpu.synapses import Synapses

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Int32 = NDArray[np.int32]


@dataclass(slots=True)
class GpuExecutable:
    """A network whose synapses and parameters are on a device; every run starts from zero.

    Attributes:
        network: A valid network.
        device: ``cpu`` or ``cuda:N``.
    """

    network: IntegerNetwork
    device: str
    _neurons: dict[str, Neurons] = field(init=False)
    _into: dict[str, tuple[Synapses, ...]] = field(init=False)
    _cycles: tuple[tuple[str, ...], ...] = field(init=False)
    _closed: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        live = [p for p in self.network.projections if p.delay < self.network.timesteps]
        names = [neuron.name for neuron in self.network.neurons]
        self._cycles = components({name: [p.post for p in live if p.pre == name] for name in names})
        try:
            with _failures(self.network, self.device):
                self._neurons = {neuron.name: Neurons.of(neuron, self.device) for neuron in self.network.neurons}
                self._into = {name: self._load([p for p in live if p.post == name]) for name in names}
        except torch.OutOfMemoryError:
            raise too_small(self.network, self.device) from None

    def run(self, inputs: Inputs, *, trace: bool = False, progress: Progress | None = None) -> SegmentResult:
        """Run one batch; see :class:`hsnn.target.Executable`.

        As many samples run at once as the device's memory holds; results do not depend on it.

        Raises:
            UsageError: ``HSNN-R001``, if the inputs do not fit the network.
            RunError: ``HSNN-R040``, if there is no memory for the results, or not for one sample on the
                device; ``HSNN-R050``, if the device fails; ``HSNN-R051``, if the executable is closed.
        """
        batch = validate_inputs(self.network, inputs)
        return self._run(
            widen(inputs), Results(lay_out(self.network, self.network.neurons, trace=trace), batch), progress
        )

    def record(self, inputs: Inputs, what: Recording, *, progress: Progress | None = None) -> SegmentResult:
        """Run one batch and record; see :class:`hsnn.recording.Recorder` and :meth:`run`."""
        batch = validate_inputs(self.network, inputs)
        return self._run(
            widen(inputs), Results(lay_out(self.network, self.network.neurons, recording=what), batch), progress
        )

    def _run(self, inputs: Mapping[str, Int32], results: Results, progress: Progress | None) -> SegmentResult:
        batch = results.batch
        counts = np.zeros(len(self.network.neurons), np.int64)
        first, samples = 0, block_samples(self.network, batch, self.device)
        while first < batch:
            block = Block(first, min(first + samples, batch))
            try:
                with _failures(self.network, self.device), _exact():
                    counts += self._run_block(inputs, results, block)
            except torch.OutOfMemoryError:
                if samples == 1:
                    raise too_small(self.network, self.device) from None
                torch.cuda.empty_cache()
                samples = max(samples // 2, 1)
                continue
            first = block.last
            if progress is not None:
                progress(block.last - block.first)
        return results.gather(inputs, counts.tolist())

    def close(self) -> None:
        """Release the device's memory; a run in another thread ends with ``HSNN-R051``."""
        self._closed = True
        self._neurons, self._into = {}, {}

    def _load(self, projections: list[Projection]) -> tuple[Synapses, ...]:
        return tuple(Synapses.of(self.network, projection, self.device) for projection in projections)

    def _run_block(self, inputs: Mapping[str, Int32], results: Results, block: Block) -> NDArray[np.int64]:
        """Run some samples and write what they give to the results; returns the spikes of each population."""
        neurons, into = self._neurons, self._into
        if self._closed:
            raise RunError("HSNN-R051", f"segment {self.network.name!r} on 'gpu' is closed", fix="load it again")
        sent = {port.name: self._payloads(inputs[port.name], block) for port in self.network.inputs}
        for source in self.network.populations:
            if isinstance(source, ConstantSource):
                sent[source.name] = torch.ones((1, 1, size(source.shape)), dtype=torch.uint8, device=self.device)
        places = {neuron.name: place for place, neuron in enumerate(self.network.neurons)}
        counts = np.zeros(len(places), np.int64)
        for turn, cycle in enumerate(self._cycles):
            states = self._run_cycle(cycle, neurons, into, sent, results, block)
            for name in cycle:
                place = places[name]
                if sends(self.network.neurons[place]):
                    counts[place] = int(torch.count_nonzero(sent[name]))
                self._keep(results, place, block, sent[name], states[name])
            later = {s.projection.pre for other in self._cycles[turn + 1 :] for name in other for s in into[name]}
            sent = {name: tensor for name, tensor in sent.items() if name in later}
        return counts

    def _run_cycle(
        self,
        cycle: tuple[str, ...],
        neurons: Mapping[str, Neurons],
        into: Mapping[str, tuple[Synapses, ...]],
        sent: dict[str, Tensor],
        results: Results,
        block: Block,
    ) -> dict[str, State]:
        """Run the populations of a component through all timesteps; what they send is added to ``sent``."""
        steps, samples = self.network.timesteps, block.last - block.first
        places = {neuron.name: place for place, neuron in enumerate(self.network.neurons)}
        sums = {name: self._outer(into[name], sent, samples, neurons[name]) for name in cycle}
        inner = {name: [s for s in into[name] if s.projection.pre in cycle] for name in cycle}
        states = {name: neurons[name].rest(samples) for name in cycle}
        for name in cycle:
            kind = torch.uint8 if sends_spikes(neurons[name].neuron) else torch.int32
            sent[name] = torch.empty((steps, *states[name].u.shape), dtype=kind, device=self.device)
        for t in range(steps):
            for name in cycle:
                total = sums[name][t]
                for synapses in inner[name]:
                    sent_at = t - synapses.projection.delay
                    if sent_at >= 0:
                        total = total + synapses.deliver(sent[synapses.projection.pre][sent_at])
                sent[name][t] = neurons[name].step(states[name], wrap_int32(total))
                if results.states_at[places[name]] >= 0:
                    for number, values in enumerate((states[name].u, states[name].v)):
                        kept = results.states_of(places[name], number)[t, block.first : block.last]
                        kept[:] = values.cpu().numpy().reshape(kept.shape)
        return states

    def _outer(self, into: tuple[Synapses, ...], sent: Mapping[str, Tensor], samples: int, neurons: Neurons) -> Tensor:
        """Sum what comes from before this component, all timesteps at once: int64, ``(timestep, sample, neuron)``."""
        steps, count = self.network.timesteps, neurons.inputs
        total = torch.zeros((steps, samples, count), dtype=torch.int64, device=self.device)
        for synapses in into:
            if synapses.projection.pre not in sent:
                continue
            delay = synapses.projection.delay
            rows = sent[synapses.projection.pre]
            rows = rows[: steps - delay]  # a constant source has one row, which stands for all
            delivered = synapses.deliver(rows.reshape(-1, rows.shape[2]))
            total[delay:] += delivered.reshape(rows.shape[0], rows.shape[1], count)
        return total

    def _payloads(self, array: Int32, block: Block) -> Tensor:
        """Payloads of some samples on the device, int32, ``(timestep, sample, neuron)``."""
        part = np.array(array[:, block.first : block.last], np.int32, order="C")
        return torch.from_numpy(part.reshape(self.network.timesteps, block.last - block.first, -1)).to(self.device)

    def _keep(self, results: Results, place: int, block: Block, sent: Tensor, state: State) -> None:
        """Write what a population did to the results, where it is wanted."""
        if results.sent_at[place] >= 0:
            kept = results.sent_of(place)
            part = sent.cpu().numpy().reshape(kept.shape[0], -1, *kept.shape[2:])
            kept[:, block.first : block.last] = part
        if results.bits_at[place] >= 0:
            kept_bits = results.gather_bits()[self.network.neurons[place].name]
            kept_bits.bits[:, block.first : block.last] = pack((sent != 0).to(torch.uint8), kept_bits).cpu().numpy()
        if results.final_at[place] >= 0:
            for number, values in enumerate((state.u, state.v)):
                final = results.final_of(place, number)
                final[block.first : block.last] = values.cpu().numpy().reshape(-1, *final.shape[1:])


def pack(sent: Tensor, like: PackedSpikes) -> Tensor:
    """Pack spikes on their device, in the layout of others.

    Args:
        sent: 0 or 1, uint8, shape ``(timestep, sample, neuron)``.
        like: Gives feature shape and order of axes.

    Returns:
        uint8, shape ``(timestep, sample, ceil(neuron / 8))``, as in ``PackedSpikes.bits``.
    """
    steps, samples = sent.shape[:2]
    ordered = sent.reshape(steps, samples, *like.shape[2:]).permute(0, 1, *(2 + axis for axis in like.axes))
    padded = pad(ordered.reshape(steps, samples, -1), (0, -sent.shape[2] % 8))
    places = 1 << torch.arange(8, dtype=torch.uint8, device=sent.device)
    return (padded.reshape(steps, samples, -1, 8) * places).sum(dim=3, dtype=torch.uint8)


@contextmanager
def _exact() -> Iterator[None]:
    """Keep torch from rounding the operands of float32 products to fewer bits, and from gradients."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def _failures(network: IntegerNetwork, device: str) -> Iterator[None]:
    """Make ``torch.OutOfMemoryError`` of every lack of memory, and ``HSNN-R050`` of other failures."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_exhausted(error):
            raise torch.OutOfMemoryError(str(error)) from error
        found = f"segment {network.name!r} failed on {device}: {error}"
        raise RunError("HSNN-R050", found, fix="run it with --target emulator, which gives the same results") from error
