"""Run a planned network on batches."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.validate_batch import Inputs, count_samples, validate_inputs
from hsnn.recording import Recording
from hsnn.target import Progress, SegmentResult
from hsnn_targets.emulator import tables
from hsnn_targets.emulator.arguments import Words, address_of, take_apart
from hsnn_targets.emulator.blocks import (
    Block,
    block_size,
    cut_batch,
    most_samples,
    run_blocks,
    sample_seconds,
    worthwhile_threads,
)
from hsnn_targets.emulator.kernel import Bound, Kernel
from hsnn_targets.emulator.memory import make_within
from hsnn_targets.emulator.pack import packed_bytes
from hsnn_targets.emulator.parts import Cut, cut_sample, run_part
from hsnn_targets.emulator.plan import Plan, plan_network
from hsnn_targets.emulator.results import Layout, Results, lay_out
from hsnn_targets.emulator.usage import Usage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn_targets.emulator.tables import Int64
    from hsnn_targets.emulator.tiers import Tier
    from hsnn_targets.emulator.vector_plan import Synapses

run_samples = Kernel("hsnn_targets.emulator.kernels", "run_samples")
_RUN, _PART = take_apart(tables.NO_RUN), take_apart(tables.NO_PART)


@dataclass(frozen=True, slots=True, eq=False)
class _Scratch:
    """What one thread works in, or several that share a sample; and the kernels that work in it."""

    told: Int64
    run: Bound
    parts: tuple[Bound, ...]


@dataclass(slots=True)
class EmulatorExecutable:
    """A planned network. Each run starts from zero; runs on several threads do not disturb each other.

    Attributes:
        network: A valid network.
        threads: Most threads of one run.
        tier: Kernels that run it; the processor has them.
        synapses: How synapses run that can be either products or events.
        plan: What the kernels read.
    """

    network: IntegerNetwork
    threads: int
    tier: Tier = "portable"
    synapses: Synapses = "auto"
    plan: Plan = field(init=False)
    _ways: list[Int64] = field(init=False, default_factory=list)
    _most: int = field(init=False)
    _seconds: float = field(init=False)
    _few: int = field(init=False)
    _cut: Cut | None = field(init=False)
    _layouts: dict[tuple[bool, Recording | None], Layout] = field(init=False, default_factory=dict)
    _planned: tuple[Words, Words] = field(init=False)
    _binary: bool = field(init=False)
    _idle: list[_Scratch] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        vectors = self.tier != "portable"
        self.plan = make_within(
            sum(packed_bytes(projection, products=vectors) for projection in self.network.projections),
            partial(plan_network, self.network, tier=self.tier, synapses=self.synapses),
            what=f"loading segment {self.network.name!r}",
            fix="free some, or split the network",
        )
        self._planned = take_apart(self.plan.program), take_apart(self.plan.vector)
        self._binary = bool(self.network.inputs) and not any(port.graded for port in self.network.inputs)
        self._most, self._seconds = most_samples(self.network), sample_seconds(self.network)
        self._cut = cut_sample(self.network, self.plan, self.threads)
        # So many samples are one block for one thread.
        self._few = 1 if worthwhile_threads(self._most * self._seconds, self.threads) > 1 else self._most
        if self._cut is not None:
            self._few = 0  # not even one sample is
        self._compile()

    def run(self, inputs: Inputs, *, trace: bool = False, progress: Progress | None = None) -> SegmentResult:
        """Run one batch; see :class:`hsnn.target.Executable`.

        Results do not depend on how the batch is cut into blocks or on the number of threads.

        Raises:
            UsageError: ``HSNN-R001``, if the inputs do not fit the network.
            RunError: ``HSNN-R040``, if there is no memory for the results or to work in.
        """
        return self._run(inputs, self._layout(trace=trace), progress)

    def record(self, inputs: Inputs, what: Recording, *, progress: Progress | None = None) -> SegmentResult:
        """Run one batch and record; see :class:`hsnn.recording.Recorder`.

        Kernels pack spikes as they go. States of every timestep need the tier ``portable``, which is
        used for them whatever the tier of this executable.

        Raises:
            UsageError: ``HSNN-R001``, if the inputs do not fit the network.
            RunError: ``HSNN-R040``, if there is no memory for the results or to work in.
        """
        if what.states and self.tier != "portable":
            return EmulatorExecutable(self.network, self.threads).record(inputs, what, progress=progress)
        return self._run(inputs, self._layout(recording=what), progress)

    def _layout(self, *, trace: bool = False, recording: Recording | None = None) -> Layout:
        key = (trace, recording)
        if key not in self._layouts:
            self._layouts[key] = lay_out(self.network, self.plan.neurons, trace=trace, recording=recording)
        return self._layouts[key]

    def _run(self, inputs: Inputs, layout: Layout, progress: Progress | None) -> SegmentResult:
        batch = count_samples(self.network, inputs)
        results = Results(layout, batch)
        if batch > self._few:
            told = self._run_blocks(inputs, results, progress)
        else:
            told = self._run_block(inputs, results, Block(0, batch))
            if progress is not None:
                progress(batch)
        if told[-1]:
            validate_inputs(self.network, inputs)  # the kernels found payloads that it tells about
        return results.gather(inputs, told)

    def _run_blocks(self, inputs: Inputs, results: Results, progress: Progress | None) -> list[int]:
        """Run a batch in blocks; returns the sums of what they tell."""
        # States are kept timestep by timestep, so a sample that keeps them is not shared.
        shares = self._cut is not None and self._cut.pays(results.batch) and not results.states.size
        cut = self._cut if shares else None
        threads = 1 if cut else worthwhile_threads(self._seconds * results.batch, self.threads)
        blocks = cut_batch(results.batch, 1 if cut else block_size(self._most, results.batch, threads))
        total = [0] * (len(self.plan.neurons) + 1)
        task = partial(self._run_block, inputs, results, cut=cut)
        with closing(run_blocks(task, blocks, threads=threads, progress=progress)) as parts:
            for part in parts:
                total = [sum_ + one for sum_, one in zip(total, part, strict=True)]
        return total

    def usage(self) -> dict[str, Usage]:
        """Tell how the synapses of each projection have been run so far."""
        vector, ways = self.plan.vector, np.zeros((len(self.plan.projections), 2), np.int64)
        for part in self._ways:
            ways += part.reshape(-1, 2)
        limits = (
            [None] * len(ways)
            if vector is None
            else [int(product["limit"]) if product["taps"] else None for product in vector.products]
        )
        return {
            name: Usage(int(products), int(events), limit)
            for name, (products, events), limit in zip(self.plan.projections, ways, limits, strict=True)
        }

    def close(self) -> None:
        """Release the scratch memory."""
        self._idle.clear()

    def _compile(self) -> None:
        """Load the kernel, or have it compiled where none is kept, by running no samples."""
        self._idle.append(self._lend())

    def _run_block(self, inputs: Inputs, results: Results, block: Block, *, cut: Cut | None = None) -> list[int]:
        """Run one block of samples, or one sample that threads share.

        Returns:
            Spikes of each population, and whether a payload was out of range.
        """
        payloads, samples, first = self._input_buffer(inputs, block)
        place = address_of(payloads), payloads.size
        words = (*place, 0, 0) if payloads.itemsize > 1 else (0, 0, *place)
        sizes = samples, results.batch, self.network.timesteps, self.plan.window, block.first, block.last, first
        lent = self._lend()
        if cut is None:
            lent.run((*words, *sizes, *results.sent_words), results.other_words)
        else:
            lent.told[:] = 0
            cut.run(lent.parts, (*words, *sizes, *results.sent_words, *results.other_words))
        told: list[int] = lent.told.tolist()
        self._idle.append(lent)
        return told

    def _input_buffer(self, inputs: Inputs, block: Block) -> tuple[NDArray[Any], int, int]:
        """Lay the ports end to end, in bytes where all are and none is graded.

        A lone port that lies straight in memory is used as it is; else the block is copied.

        Returns:
            Payloads, samples in them, and which of these is the block's first.
        """
        arrays = [inputs[port.name] for port in self.network.inputs]
        if len(arrays) == 1:
            lone = arrays[0]
            flags = lone.flags
            if flags.c_contiguous and flags.aligned and (self._binary or lone.itemsize > 1):
                return lone, lone.shape[1], block.first
        narrow = self._binary and all(array.itemsize == 1 for array in arrays)
        kind = np.uint8 if narrow else np.int32
        parts = [array[:, block.first : block.last].astype(kind).reshape(-1) for array in arrays]
        return np.concatenate([np.zeros(0, kind), *parts]), block.last - block.first, 0

    def _lend(self) -> _Scratch:
        """Scratch memory for one block, which gives it back unless it fails."""
        try:
            return self._idle.pop()
        except IndexError:
            scratch = make_within(
                self.plan.scratch_bytes,
                self.plan.scratch,
                what=f"each thread that runs segment {self.network.name!r}",
                fix="run on fewer threads: this does not depend on the batch",
            )
        self._ways.append(scratch.ways)
        fixed = (*self._planned, take_apart(scratch))
        parts = () if self._cut is None else tuple(run_part.bind(fixed, _PART) for _ in range(self._cut.threads))
        return _Scratch(scratch.told, run_samples.bind(fixed, _RUN), parts)
