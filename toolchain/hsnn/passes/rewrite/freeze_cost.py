"""What it costs to freeze the scales of a model: the float model before and after, on the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import UsageError
from hsnn.passes.rewrite.freeze_rescale import FrozenScale, freeze_rescale, run_batches
from hsnn.runtime.metrics import accuracy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.hybrid import HybridModel
    from hsnn.program import Json

    Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class FreezeReport:
    """What was frozen, and what the float model does with it.

    Attributes:
        scales: Scale of each encoder.
        batch: Samples in a batch.
        samples: Number of samples.
        difference: Largest difference of an output over the largest output.
        agreement: Share of the samples that both put in the same class; None for a model without class scores.
        accuracy_before: Share of right classes with the scale of each batch; None without labels.
        accuracy_after: The same, frozen.
    """

    scales: tuple[FrozenScale, ...]
    batch: int
    samples: int
    difference: float
    agreement: float | None = None
    accuracy_before: float | None = None
    accuracy_after: float | None = None

    def to_json(self) -> dict[str, Json]:
        """Return the report as plain values."""
        return {**asdict(self), "scales": [asdict(scale) for scale in self.scales], "summary": self.sentence()}

    def sentence(self) -> str:
        """Say what freezing cost."""
        text = f"froze the scale of {len(self.scales)} encoders, from batches of {self.batch}"
        if self.accuracy_before is not None and self.accuracy_after is not None:
            points = 100 * (self.accuracy_after - self.accuracy_before)
            return (
                f"{text}: float accuracy {self.accuracy_before:.2%} before, {self.accuracy_after:.2%} after "
                f"({points:+.2f} points, {self.samples} calibration samples)"
            )
        if self.agreement is not None:
            return f"{text}: the float model keeps the class of {self.agreement:.2%} of {self.samples} samples"
        return f"{text}: outputs of the float model change by up to {self.difference:.2%} of the largest"


def freeze(
    hybrid: HybridModel, samples: Mapping[str, Array], *, batch: int, labels: Array | None = None
) -> tuple[HybridModel, FreezeReport]:
    """Freeze every encoder that rescales over its batch, and measure what that changes.

    Args:
        hybrid: The model; it is not changed.
        samples: For each model input: calibration samples, batch axis first.
        batch: Samples in a batch.
        labels: Class number of each sample, or None.

    Raises:
        UsageError: ``HSNN-Q005`` or ``HSNN-Q006``, see :func:`freeze_rescale`; ``HSNN-Q007``, if there are labels
            and the model has not one output of class scores; ``HSNN-R110``, if the labels do not fit them.
    """
    if labels is not None and not _classifies(hybrid):
        raise UsageError(
            "HSNN-Q007",
            "there are labels, but the model has not one output of class scores",
            allowed="labels for a model with one output of shape (batch, class)",
            fix="leave the labels out",
        )
    frozen, scales = freeze_rescale(hybrid, samples, batch=batch)
    before, after = (_outputs(model, samples, batch) for model in (hybrid, frozen))
    report = FreezeReport(scales, batch, len(before[0]), _difference(before, after))
    if not _classifies(hybrid):
        return frozen, report
    scores = before[0], after[0]
    agreement = float(np.mean(scores[0].argmax(1) == scores[1].argmax(1)))
    right = (None, None) if labels is None else tuple(accuracy(item, labels) for item in scores)
    return frozen, FreezeReport(scales, batch, report.samples, report.difference, agreement, *right)


def _classifies(hybrid: HybridModel) -> bool:
    return len(hybrid.outputs) == 1 and len(hybrid.outputs[0].shape) == 2


def _outputs(hybrid: HybridModel, samples: Mapping[str, Array], batch: int) -> tuple[Array, ...]:
    names = tuple(item.name for item in hybrid.outputs)
    parts = list(run_batches(hybrid, samples, names, batch))
    return tuple(np.concatenate(values) for values in zip(*parts, strict=True))


def _difference(before: Sequence[Array], after: Sequence[Array]) -> float:
    pairs = zip(before, after, strict=True)
    return max(float(np.abs(a - b).max() / max(np.abs(a).max(), np.finfo(np.float32).tiny)) for a, b in pairs)
