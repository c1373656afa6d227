"""The rungs that compare floats: torch, the hybrid ONNX model, its segments, and the integers.

They need the libraries of the compiler, because the float segments are cut from the hybrid model anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from hsnn.errors import ArtifactError, QuantizationError
from hsnn.program import ChipStage, Program
from hsnn.verify.outcome import Outcome, Skipped

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from hsnn.ir.hybrid import HybridModel
    from hsnn.ir.plan import Plan
    from hsnn.passes.quantization.quantize import Quantized
    from hsnn.report.layers import Limits

    Array = NDArray[np.generic]

RELATIVE, ABSOLUTE = 1e-5, 1e-6
"""How far values of two float programs may be apart, absolutely in units of the largest value."""
FLIPPED = 1e-4
"""Share of spikes that rounding may flip where a voltage lies on its threshold."""


def has_compiler() -> bool:
    """Tell whether the libraries that cut a hybrid model are installed."""
    return all(find_spec(name) is not None for name in ("onnx_ir", "onnxscript", "scipy"))


def frozen_nodes(program: Program) -> tuple[str, ...]:
    """Names of the encoders whose scale the build froze."""
    record = cast("Mapping[str, Any]", program.metadata.options.get("freeze_rescale") or {})
    return tuple(str(scale["node"]) for scale in record.get("scales", ()))


@dataclass(frozen=True)
class FloatRungs:
    """Comparisons of one program on one set of samples.

    Attributes:
        program: What to prove.
        samples: Model inputs, batch axis first.
        limits: Limits for integers, or None for those of the build.
    """

    program: Program
    samples: Mapping[str, Array]
    limits: Limits | None

    def torch_equals_onnx(self, model: nn.Module) -> Outcome:
        """Compare the torch module with the hybrid model, spike by spike.

        Scales that the build froze are taken from each batch here, as in the module.
        """
        import torch

        from hsnn.frontends.torch import compare_with_torch
        from hsnn.passes.rewrite.freeze_rescale import without_scales

        tensors = tuple(torch.as_tensor(np.array(self.samples[item.name])) for item in self._hybrid.inputs)
        frozen = frozen_nodes(self.program)
        found = compare_with_torch(model, without_scales(self._hybrid, frozen), tensors)
        close = found.max_rel <= RELATIVE or found.max_abs <= ABSOLUTE
        detail = (
            f"{found.samples} samples, largest difference {found.max_abs:.2g} ({found.max_rel:.2g} relative), "
            f"{found.flips} spikes flipped in {found.flipped_samples} samples"
        )
        if frozen:
            detail += f"; before the scale of {len(frozen)} encoders was frozen"
        return Outcome(close and found.flips_explained, detail)

    def segments_equal_onnx(self) -> Outcome:
        """Run each segment in float on what the whole hybrid model feeds it, and compare what comes out."""
        from hsnn.verify.segments import compare_segments

        agreements = compare_segments(self._hybrid, self._plan, self.samples)
        worst = max((item.relative for item in agreements), default=0.0)
        flipped = sum(item.flipped for item in agreements)
        spikes = sum(item.spikes for item in agreements)
        detail = (
            f"{len(self._plan.stages)} segments, largest relative difference {worst:.2g}, "
            f"{flipped} of {spikes:,} spikes flipped"
        )
        for item in agreements:
            if item.relative > RELATIVE or item.flipped > FLIPPED * max(item.spikes, 1 / FLIPPED):
                return Outcome(False, detail, item.difference)
        return Outcome(True, detail)

    def integers_within_limits(self) -> Outcome:
        """Compare the integers of every layer with its floats."""
        from hsnn.report.layers import Limits, check_limits
        from hsnn.verify.layers import measure_layers

        reports = measure_layers(self._plan, self._quantized(), self.samples)
        recorded = cast("Mapping[str, Any]", self.program.metadata.options.get("limits") or {})
        limits = self.limits or Limits(**recorded)
        scores = [report.spikes.f1 for report in reports if report.spikes is not None]
        errors = [abs(r.spikes.rate_error) for r in reports if r.spikes is not None and r.spikes.rate_error is not None]
        f1, rate = min(scores, default=1.0), max(errors, default=0.0)
        quiet = sum(report.spikes is not None and not limits.judges(report.spikes) for report in reports)
        detail = f"{len(reports)} layers, smallest F1 {f1:.3f}, largest rate error {rate:.1%}"
        if quiet:
            detail += f"; {quiet} of them sent too few spikes to judge (under {limits.min_spikes})"
        try:
            moved = cast("list[str]", self.program.metadata.options.get("integrators") or [])
            check_limits(reports, limits, decoders=moved)
        except QuantizationError as error:
            return Outcome(False, f"{detail}; {error.found}")
        return Outcome(True, detail)

    @cached_property
    def _hybrid(self) -> HybridModel:
        import onnx

        from hsnn.ir.hybrid import wrap

        if self.program.hybrid is None:
            raise Skipped("the artifact keeps no hybrid model (--no-reference)")
        return wrap(onnx.load_from_string(self.program.hybrid))

    @cached_property
    def _plan(self) -> Plan:
        """The float segments, with the host models of the artifact in the place of fresh ones."""
        from hsnn.ir.plan import HostStage
        from hsnn.passes.partition.partition import Partition

        pins = cast("list[str]", self.program.metadata.options.get("pins") or [])
        pairs = tuple(pin.rsplit("=", 1) for pin in pins)
        plan = Partition(tuple((glob, cast("Literal['host', 'chip']", side)) for glob, side in pairs))(self._hybrid)
        kept = {stage.name: stage for stage in self.program.host_stages}
        if [stage.name for stage in plan.stages] != [stage.name for stage in self.program.stages]:
            raise ArtifactError(
                "HSNN-V003",
                "the hybrid model of the artifact cuts into other stages than the artifact has",
                fix="it was built by another version of hsnn; build it again",
            )
        stages = tuple(
            replace(stage, model=kept[stage.name].model) if isinstance(stage, HostStage) else stage
            for stage in plan.stages
        )
        return replace(plan, stages=stages)

    def _quantized(self) -> dict[str, Quantized]:
        """What the build knew about each spiking segment, from the records of the artifact."""
        return {stage.name: self._quantized_stage(stage) for stage in self.program.chip_stages}

    def _quantized_stage(self, stage: ChipStage) -> Quantized:
        from pydantic import TypeAdapter

        from hsnn.passes.quantization.quantize import LayerScale, Quantized, unit_of

        adapter = TypeAdapter(LayerScale)
        layers = tuple(
            adapter.validate_python(record["quantization"])
            for record in self.program.layers
            if record.get("segment") == stage.name
        )
        scales = {item.population: item.scale for item in layers}
        sent = {n.name: unit_of(n, scales[n.name]) for n in stage.network.neurons if n.name in scales}
        inputs = {item.port: item.scale for item in stage.inputs}
        return Quantized(stage.network, inputs, {**sent, **inputs}, layers)
