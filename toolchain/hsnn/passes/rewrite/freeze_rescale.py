"""Replace the scale that an encoder takes from each batch by one that is calibrated once.

An encoder with ``rescale="batch"`` makes the result for one sample depend on the others of its batch. Frozen,
it is ``static``: samples are independent, and a program can be run one sample at a time. Encoders are frozen in
the order in which values flow, each on what the frozen ones before it give.

The range of an encoder is the mean, over batches of the calibration samples, of the smallest and of the largest
value in a batch (a last one that is not full does not count); it is [0, 1] where every batch lies within, as such
a batch is not rescaled. Values outside are clipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import UsageError
from hsnn.ir.hybrid import HybridModel, module_of, wrap
from hsnn.ops import DOMAIN
from hsnn.passes.simulation.whole_run import run_whole

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    Array = NDArray[Any]

BATCH = 64
"""Samples in a batch whose scale is frozen, where nobody says."""


@dataclass(frozen=True, slots=True)
class FrozenScale:
    """The scale of one encoder.

    Attributes:
        node: Name of the encoder's node.
        module: Path of its torch module, or empty.
        low: Value that becomes 0.
        high: Value that becomes 1, above ``low``.
    """

    node: str
    module: str
    low: float
    high: float


def freeze_rescale(
    hybrid: HybridModel, samples: Mapping[str, Array], *, batch: int = BATCH
) -> tuple[HybridModel, tuple[FrozenScale, ...]]:
    """Freeze every encoder that rescales over its batch.

    Args:
        hybrid: The model; it is not changed.
        samples: For each model input: calibration samples, batch axis first.
        batch: Samples in a batch, as in training.

    Returns:
        The frozen model, and what was frozen, in order.

    Raises:
        UsageError: ``HSNN-Q005``, if no encoder rescales over its batch; ``HSNN-Q006``, if all that an encoder
            gets is one and the same value, so that it has no range.
    """
    nodes = [node for node in hybrid.proto.graph.node if _rescales(node)]
    if not nodes:
        raise UsageError(
            "HSNN-Q005",
            "no encoder of the model rescales over its batch, so there is nothing to freeze",
            fix="leave --freeze-rescale out",
        )
    scales: list[FrozenScale] = []
    for node in nodes:
        values = [part for (part,) in run_batches(with_scales(hybrid, scales), samples, (node.input[0],), batch)]
        whole = values[:-1] if len(values) > 1 and len(values[-1]) < batch else values
        low, high = _range_of(node, whole)
        scales.append(FrozenScale(node.name, module_of(node), low, high))
    return with_scales(hybrid, scales), tuple(scales)


def with_scales(hybrid: HybridModel, scales: Sequence[FrozenScale]) -> HybridModel:
    """Return the model with the encoders of these names static."""
    return _changed(
        hybrid, {scale.node: {"rescale": "static", "low": scale.low, "high": scale.high} for scale in scales}
    )


def without_scales(hybrid: HybridModel, nodes: Sequence[str]) -> HybridModel:
    """Return the model with the encoders of these names as they were: rescaling over the batch."""
    return _changed(hybrid, {name: {"rescale": "batch", "low": 0.0, "high": 1.0} for name in nodes})


def run_batches(
    hybrid: HybridModel, samples: Mapping[str, Array], wanted: Sequence[str], batch: int
) -> Iterator[tuple[Array, ...]]:
    """Run the model in float, batch by batch, the last one smaller where it must be.

    Args:
        hybrid: The model.
        samples: For each model input: all samples, batch axis first.
        wanted: Names of values.
        batch: Samples in a batch.

    Yields:
        The wanted values of each batch, in that order.
    """
    total = next(iter(samples.values())).shape[0]
    for start in range(0, total, batch):
        part = {name: array[start : start + batch] for name, array in samples.items()}
        found = run_whole(hybrid, part, wanted)
        yield tuple(found[name] for name in wanted)


def _rescales(node: onnx.NodeProto) -> bool:
    if node.domain != DOMAIN or node.op_type != "BitPlaneEncode":
        return False
    return any(item.name == "rescale" and item.s == b"batch" for item in node.attribute)


def _range_of(node: onnx.NodeProto, batches: Sequence[Array]) -> tuple[float, float]:
    ends = np.array([(values.min(), values.max()) for values in batches], np.float64)
    low, high = ends[:, 0], ends[:, 1]
    if low.min() >= 0 and high.max() <= 1:
        return 0.0, 1.0
    middle = np.float32(low.mean()), np.float32(high.mean())
    if not middle[0] < middle[1]:
        raise UsageError(
            "HSNN-Q006",
            f"encoder {module_of(node) or node.name!r} gets nothing but the value {middle[0]:g} from the calibration "
            "samples",
            allowed="values that differ, from which a scale can be taken",
            fix="calibrate with real samples of all classes",
        )
    return float(middle[0]), float(middle[1])


def _changed(hybrid: HybridModel, changes: Mapping[str, Mapping[str, str | float]]) -> HybridModel:
    import onnx

    proto = onnx.ModelProto()
    proto.CopyFrom(hybrid.proto)
    for node in proto.graph.node:
        if node.name not in changes:
            continue
        new = changes[node.name]
        kept = [item for item in node.attribute if item.name not in new]
        del node.attribute[:]
        node.attribute.extend([*kept, *(onnx.helper.make_attribute(name, value) for name, value in new.items())])
    return wrap(proto)
