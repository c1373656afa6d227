"""The partitioned model: which operator runs where and why, and what crosses between the parts.

Stages run in order. They exchange float32 arrays by the names of the hybrid model's values, so a value
may skip over any number of stages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hsnn.ir.shape import Shape
from hsnn.ir.spiking import SpikingGraph


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one operator of the hybrid model runs.

    Attributes:
        node: Name of the ONNX node.
        op: Operator, such as ``Conv`` or ``hsnn.Lif``.
        module: Torch module path, or an empty string.
        place: Name of the stage, such as ``host.0`` or ``chip.1``.
        code: Stable code of the reason if the operator is kept off the chip although it handles
            spikes, such as ``HSNN-P007``, or codes values in a way that may surprise, such as
            ``HSNN-P031``; else an empty string.
        reason: One sentence: why it runs there, or what is surprising.
        fix: What would change that, or an empty string.
    """

    node: str
    op: str
    module: str
    place: str
    code: str = ""
    reason: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class HostStage:
    """A part that runs on ONNX Runtime; a compiled program keeps it as it is.

    Attributes:
        name: ``host.N``.
        model: Serialized plain ONNX model: no operator of the hsnn domain, no local function.
        inputs: Names of its input values.
        outputs: Names of its output values.
    """

    name: str
    model: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the hybrid model's values that enter."""
        return self.inputs

    @property
    def makes(self) -> tuple[str, ...]:
        """Names of the hybrid model's values that leave."""
        return self.outputs


@dataclass(frozen=True, slots=True, eq=False)
class ChipSegment:
    """A part that runs on a spiking target.

    Attributes:
        name: ``chip.N``, also the name of the graph.
        graph: Float parameters; its inputs and populations name the values they carry.
    """

    name: str
    graph: SpikingGraph

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the hybrid model's values that enter."""
        return tuple(port.value for port in self.graph.inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the hybrid model's values that leave."""
        values = {item.name: item.value for item in (*self.graph.inputs, *self.graph.neurons)}
        return tuple(values[name] for name in self.graph.outputs)


Stage: TypeAlias = "HostStage | ChipSegment"


@dataclass(frozen=True, slots=True)
class Cut:
    """One value that crosses between host and chip.

    Attributes:
        value: Name of the value.
        source, target: Stages, such as ``host.0`` and ``chip.0``.
        shape: Feature shape, without time and batch.
        timesteps: Timesteps per sample that cross: 1 for a voltage of which the host reads the last timestep only.
    """

    value: str
    source: str
    target: str
    shape: Shape
    timesteps: int


@dataclass(frozen=True, slots=True)
class ModelValue:
    """An input or output of the whole model.

    Attributes:
        name: Name of the value.
        shape: Shape with ``None`` for the batch axis.
        dtype: Numpy name of the element type, such as ``float32``.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A partitioned hybrid model.

    Attributes:
        stages: Host and chip segments, in an order in which they can run.
        placements: Every operator, in graph order.
        cuts: Every crossing.
        inputs: Inputs of the model.
        outputs: Outputs of the model.
    """

    stages: tuple[Stage, ...]
    placements: tuple[Placement, ...]
    cuts: tuple[Cut, ...]
    inputs: tuple[ModelValue, ...]
    outputs: tuple[ModelValue, ...]

    @property
    def chip_segments(self) -> tuple[ChipSegment, ...]:
        """The stages that run on a chip."""
        return tuple(stage for stage in self.stages if isinstance(stage, ChipSegment))

    def last_values(self) -> frozenset[str]:
        """Values that leave a chip segment and of which only the last timestep is read."""
        timesteps = {segment.name: segment.graph.timesteps for segment in self.chip_segments}
        return frozenset(cut.value for cut in self.cuts if cut.timesteps < timesteps.get(cut.source, 0))
