"""Find the first difference between two runs that should be equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.target import SegmentResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two runs part.

    Attributes:
        segment: Name of the segment.
        layer: Name of the population or value.
        what: ``spikes``, ``voltage``, ``current``, ``output`` ...
        timestep: Timestep, or None for final states and values without time.
        sample: Index in the batch.
        neuron: Index in the feature shape.
        expected: What the trusted run has.
        found: What the other has.
    """

    segment: str
    layer: str
    what: str
    timestep: int | None
    sample: int
    neuron: tuple[int, ...]
    expected: float
    found: float

    def __str__(self) -> str:
        """One sentence."""
        when = "at the end" if self.timestep is None else f"at timestep {self.timestep}"
        return (
            f"{self.what} of {self.layer!r} in {self.segment!r} {when}, sample {self.sample}, neuron {self.neuron}: "
            f"expected {self.expected:g}, found {self.found:g}"
        )


def first_difference(
    network: IntegerNetwork, expected: SegmentResult, found: SegmentResult, *, outputs_only: bool = False
) -> Difference | None:
    """Compare two traced runs of the same batch.

    Args:
        network: What was run.
        expected: The trusted run.
        found: The other; its final states may be those of the last samples only.
        outputs_only: Whether only what leaves the segment is compared, for targets that show no more.

    Returns:
        The earliest difference in time; in the same timestep that of the first population in dataflow
        order. Final states count only if everything that was sent is equal.
    """
    if outputs_only:
        expected, found = SegmentResult(expected.outputs), SegmentResult(found.outputs)
    sent = _sent(network, expected), _sent(network, found)
    differences = [
        difference
        for layer in sent[0]
        if (difference := _first_in_time(network.name, layer, sent[0][layer], sent[1].get(layer))) is not None
    ]
    if differences:
        return min(differences, key=lambda item: -1 if item.timestep is None else item.timestep)
    if outputs_only:
        return None
    for what, states in (("current", expected.current), ("voltage", expected.voltage)):
        others = found.current if what == "current" else found.voltage
        for neuron in network.neurons:
            difference = _first_state(network.name, neuron.name, what, states[neuron.name], others.get(neuron.name))
            if difference is not None:
                return difference
    return None


def _sent(network: IntegerNetwork, result: SegmentResult) -> dict[str, Int32]:
    order = [item.name for item in (*network.inputs, *network.populations)]
    arrays: Mapping[str, Int32] = {**result.outputs, **result.spikes}
    return {name: arrays[name] for name in order if name in arrays}


def _first_in_time(segment: str, layer: str, expected: Int32, found: Int32 | None) -> Difference | None:
    """First difference of two arrays ``(timestep, batch, *feature)``."""
    if found is None or found.shape != expected.shape:
        return Difference(
            segment, layer, "shape of the trace", None, 0, (), expected.size, 0 if found is None else found.size
        )
    where = np.argwhere(expected != found)
    if not where.size:
        return None
    t, sample, *neuron = (int(index) for index in where[0])
    values = float(expected[tuple(where[0])]), float(found[tuple(where[0])])
    return Difference(segment, layer, "what is sent", t, sample, tuple(neuron), *values)


def _first_state(segment: str, layer: str, what: str, expected: Int32, found: Int32 | None) -> Difference | None:
    """First difference of final states ``(batch, *feature)``, aligned at the last sample."""
    if found is None or not found.size:
        return Difference(segment, layer, f"final {what}", None, 0, (), float(expected.size), 0.0)
    last = expected[-found.shape[0] :]
    where = np.argwhere(last != found)
    if not where.size:
        return None
    sample, *neuron = (int(index) for index in where[0])
    skipped = expected.shape[0] - found.shape[0]
    values = float(last[tuple(where[0])]), float(found[tuple(where[0])])
    return Difference(segment, layer, f"final {what}", None, sample + skipped, tuple(neuron), *values)
