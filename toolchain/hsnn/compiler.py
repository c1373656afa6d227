"""Compile: the one place that orders the stages.

::

    front end -> canonicalize -> [freeze scales] -> place decoders -> partition -> float run, which calibrates
              -> quantize -> match delays -> place on neurocores -> compare layers -> Program

A spiking segment is quantized with what the float model sends into it, so the error of one segment is
not hidden in the calibration of the next. The finished program is then run on a few samples, and what it
did is kept with it as golden traces.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hsnn.errors import CapacityError, HsnnWarning
from hsnn.frontends.dispatch import Model, front_end
from hsnn.ir.plan import ChipSegment, HostStage, Plan
from hsnn.libraries import named_if_missing
from hsnn.passes.mapping.chips import load_chip
from hsnn.passes.mapping.delays import match_delays
from hsnn.passes.mapping.place import capacity_report, no_room, place
from hsnn.passes.mapping.skeleton import skeleton
from hsnn.passes.partition.codings import warn_of
from hsnn.passes.partition.cutting import Side
from hsnn.passes.partition.partition import Partition
from hsnn.passes.quantization.quantize import Quantized, QuantizeOptions, quantize
from hsnn.passes.rewrite.canonicalize import canonicalize
from hsnn.passes.rewrite.decoders import DecodeSide, explained, integrators, place_decoders
from hsnn.passes.rewrite.freeze_cost import FreezeReport, freeze
from hsnn.passes.simulation.calibrate import Calibration
from hsnn.passes.simulation.calibrate_plan import calibrate_plan
from hsnn.program import ChipInput, ChipOutput, ChipStage, Program, ProgramStage
from hsnn.provenance import metadata_of
from hsnn.report.html import render
from hsnn.report.layers import LayerReport, Limits, check_limits
from hsnn.runtime.golden import record_golden
from hsnn.samples import Samples, examples_of, limited, named_samples
from hsnn.verify.layers import measure_layers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.chip import Chip
    from hsnn.ir.hybrid import HybridModel
    from hsnn.program import Json

    Array = NDArray[np.generic]

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of a stage of the build, how much of it is done, and how much there is."""

REPORT_SAMPLES = 64
"""Calibration samples on which the integers of each layer are compared with its floats."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a build.

    Attributes:
        target: Target that the program is meant for; any other can still run it.
        chip: Name of a chip description, or path of one.
        pins: Pairs of a glob over module paths and the side to keep them on.
        limits: How far integers may stray from floats.
        payload_bits: Width of graded payloads.
        margin: Integers have room for this factor on what calibration saw, 1 to 1024. More is safer for samples that
            are unlike the calibration's, and coarser.
        calibration_samples: At most so many samples are used.
        golden_samples: Samples whose traces are kept for replay.
        freeze_rescale: Samples in the batches whose scale encoders that rescale over the batch keep from then on;
            None to leave them as they are. See :mod:`hsnn.passes.rewrite.freeze_rescale`.
        decode: Where weighted sums over time are decoded: ``host``, ``chip`` wherever integrators can, or ``auto``:
            where less crosses. See :mod:`hsnn.passes.rewrite.decoders`.
        keep_reference: Whether the artifact keeps the hybrid ONNX model.
        seed: Recorded; nothing in a build is random but encoders, which have seeds of their own.
    """

    target: str = "loihi2-sim"
    chip: str = "loihi2"
    pins: tuple[tuple[str, Side], ...] = ()
    limits: Limits = field(default_factory=Limits)
    payload_bits: int = 8
    margin: float = 2.0
    calibration_samples: int = 256
    golden_samples: int = 4
    freeze_rescale: int | None = None
    decode: DecodeSide = "auto"
    keep_reference: bool = True
    seed: int = 0

    def to_json(self) -> dict[str, Json]:
        """What the artifact records of them beside target and seed."""
        return {
            "chip": self.chip,
            "pins": [f"{glob}={side}" for glob, side in self.pins],
            "limits": self.limits.to_json(),
            "payload_bits": self.payload_bits,
            "margin": self.margin,
            "calibration_samples": self.calibration_samples,
            "golden_samples": self.golden_samples,
            "decode": self.decode,
        }


@named_if_missing()
def compile(
    model: Model,
    calibration: Samples,
    *,
    labels: Array | None = None,
    example_inputs: Sequence[Any] | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
    source: str = "",
) -> Program:
    """Compile a hybrid model.

    Args:
        model: A torch module, a hybrid model, or the path of a hybrid ``.onnx`` file, a ``.net`` file of lava-dl or a
            ``.nir`` file.
        calibration: Real samples, batch axis first: one array, one an input, or by input name. Take them
            from training data, never from the test split.
        labels: Class number of each sample, integers of shape ``(sample,)``; they are used for nothing but the
            accuracy that frozen scales cost.
        example_inputs: Inputs to trace a torch module with; the first calibration samples if None.
        options: Options; the defaults if None.
        progress: Told how far the build is.
        source: How the user named the model, for the record.

    Returns:
        A program that any target can run.

    Raises:
        HsnnError: With a code, if the model cannot be compiled, does not fit the chip, or loses too much.
    """
    options = options or Options()
    tell = progress or _silent
    chip = load_chip(options.chip)
    tell("export", 0, 1)
    hybrid = front_end(model, example_inputs if example_inputs is not None else examples_of(calibration))
    samples = limited(named_samples(calibration, hybrid.inputs), options.calibration_samples)
    tell("export", 1, 1)
    record = hybrid.record()
    hybrid = canonicalize(hybrid)
    _require_room(Partition(options.pins)(hybrid), chip)
    hybrid, frozen = _freeze(hybrid, samples, labels, options, tell)
    hybrid, plan, moved = _partition(hybrid, samples, options, chip)
    warn_of(plan.placements)
    measured = calibrate_plan(plan, samples, lambda done, total: tell("calibrate", done, total))
    quantized = _quantize(plan, measured.ranges, options, tell)
    networks = tuple(item.network for item in quantized.values())
    for network in networks:
        match_delays(network)  # for what it refuses: a target that needs delays finds them itself
    mapping = place(networks, chip)
    reports = _measure(plan, quantized, samples, tell)
    check_limits(reports, options.limits, decoders=moved)
    _warn_of_silence(reports)
    last = plan.last_values()
    program = Program(
        stages=tuple(_stage(stage, quantized, last) for stage in plan.stages),
        inputs=plan.inputs,
        outputs=plan.outputs,
        metadata=metadata_of(
            source,
            target=options.target,
            seed=options.seed,
            options={
                **options.to_json(),
                "integrators": list(moved),
                "freeze_rescale": None if frozen is None else frozen.to_json(),
                **({"import": dict(record)} if record else {}),
            },
        ),
        placements=plan.placements,
        cuts=plan.cuts,
        cut_spikes=measured.cut_spikes,
        layers=tuple(report.to_json() for report in reports),
        mapping=mapping.to_json(),
        hybrid=hybrid.to_bytes(),
    )
    tell("golden traces", 0, 1)
    golden = record_golden(program, limited(samples, options.golden_samples), target="emulator")
    program = replace(program, golden=golden)
    tell("golden traces", 1, 1)
    # The page shows the graph also where the artifact does not keep the model.
    page = render(program)
    return replace(program, report=page, hybrid=program.hybrid if options.keep_reference else None)


def _freeze(
    hybrid: HybridModel, samples: Mapping[str, Array], labels: Array | None, options: Options, tell: Progress
) -> tuple[HybridModel, FreezeReport | None]:
    """Freeze the scales of encoders, where that was asked for."""
    if options.freeze_rescale is None:
        return hybrid, None
    tell("freeze scales", 0, 1)
    count = next(iter(samples.values())).shape[0]
    known = None if labels is None else labels[:count]
    frozen, report = freeze(hybrid, samples, batch=options.freeze_rescale, labels=known)
    tell("freeze scales", 1, 1)
    return frozen, report


def _partition(
    hybrid: HybridModel, samples: Mapping[str, Array], options: Options, chip: Chip
) -> tuple[HybridModel, Plan, tuple[str, ...]]:
    """Decide where decoders work, and cut the model.

    Decoders stay on the host where their integrators would not fit on the chip, unless they were asked for there.

    Returns:
        The model, its parts, and the populations that stand in for decoders.
    """
    cut = Partition(options.pins)
    decided, choices = place_decoders(hybrid, samples, options.decode)
    plan = explained(cut(decided), choices)
    if decided is hybrid:
        return hybrid, plan, ()
    try:
        _require_room(plan, chip)
    except CapacityError:
        if options.decode == "chip":
            raise
        return hybrid, cut(hybrid), ()
    return decided, plan, integrators(plan, choices)


def _require_room(plan: Plan, chip: Chip) -> None:
    """Refuse a model that does not fit before it is calibrated, which may take hours where it is that large.

    Widths of payloads are left to the placement of the quantized networks, which may choose smaller ones.

    Raises:
        CapacityError: ``HSNN-C010``, as :func:`place`.
    """
    networks = tuple(skeleton(segment.graph) for segment in plan.chip_segments)
    report = capacity_report(networks, chip)
    if any(shortage.resource != "payload_bits" for shortage in report.shortages):
        raise no_room(report)


def _quantize(plan: Plan, ranges: Mapping[str, Calibration], options: Options, tell: Progress) -> dict[str, Quantized]:
    """Quantize every spiking segment with the ranges that the float model gave it."""
    settings = QuantizeOptions(payload_bits=options.payload_bits, margin=options.margin)
    quantized: dict[str, Quantized] = {}
    for index, segment in enumerate(plan.chip_segments):
        tell("quantize", index, len(plan.chip_segments))
        quantized[segment.name] = quantize(segment.graph, ranges[segment.name], settings)
    tell("quantize", len(quantized), len(quantized))
    return quantized


def _measure(
    plan: Plan, quantized: Mapping[str, Quantized], samples: Mapping[str, Array], tell: Progress
) -> tuple[LayerReport, ...]:
    """Compare the integers of every layer with its floats on some of the samples."""
    tell("compare layers", 0, 1)
    reports = measure_layers(plan, quantized, limited(samples, REPORT_SAMPLES))
    tell("compare layers", 1, 1)
    return reports


def _stage(stage: HostStage | ChipSegment, quantized: Mapping[str, Quantized], last: frozenset[str]) -> ProgramStage:
    if isinstance(stage, HostStage):
        return stage
    graph, integers = stage.graph, quantized[stage.name]
    return ChipStage(
        stage.name,
        integers.network,
        tuple(ChipInput(port.value, port.name, integers.input_scales[port.name]) for port in graph.inputs),
        tuple(
            ChipOutput(value, name, integers.output_scales[name], last=value in last)
            for name, value in zip(graph.outputs, stage.outputs, strict=True)
        ),
    )


def _warn_of_silence(reports: tuple[LayerReport, ...]) -> None:
    """Warn of layers that sent no spike at all: whatever is said of their agreement means nothing."""
    silent = [r.population for r in reports if r.spikes is not None and r.spikes.float_spikes == 0]
    if silent:
        text = (
            f"HSNN-Q030: {', '.join(silent)} never spiked on the calibration samples, so nothing is proven of it; "
            "check scales and thresholds, or calibrate with samples that matter"
        )
        warnings.warn(text, HsnnWarning, stacklevel=3)


def _silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
