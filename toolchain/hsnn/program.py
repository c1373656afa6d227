"""A compiled program: everything that a run needs, without torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from hsnn.errors import UsageError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plan import Cut, HostStage, ModelValue, Placement
from hsnn.libraries import named_if_missing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]
    Array = NDArray[np.generic]

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


@dataclass(frozen=True, slots=True)
class ChipInput:
    """How a value of the host becomes payloads of an input port.

    ``payload = clip(round_half_to_even(value / scale))``, limits from the port.

    Attributes:
        value: Name of the value in the hybrid model.
        port: Name of the port in the network.
        scale: Value of one unit of payload; 1 for binary spikes.
    """

    value: str
    port: str
    scale: float


@dataclass(frozen=True, slots=True)
class ChipOutput:
    """How what a population sends becomes a value of the host: ``value = sent * scale``.

    Attributes:
        value: Name of the value in the hybrid model.
        population: Name in the network's outputs.
        scale: Value of one unit: 1 for spikes, the voltage's scale for read-out neurons.
        last: Whether the host reads the last timestep only, so that nothing else has to leave the chip.
    """

    value: str
    population: str
    scale: float
    last: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ChipStage:
    """A spiking segment with its bridge to the host."""

    name: str
    network: IntegerNetwork
    inputs: tuple[ChipInput, ...]
    outputs: tuple[ChipOutput, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the hybrid model's values that enter."""
        return tuple(port.value for port in self.inputs)

    @property
    def makes(self) -> tuple[str, ...]:
        """Names of the hybrid model's values that leave."""
        return tuple(output.value for output in self.outputs)


ProgramStage: TypeAlias = "HostStage | ChipStage"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where a program comes from.

    There is no time and no machine in it, so that the same build gives the same bytes.

    Attributes:
        hsnn: Version of hsnn that built it.
        libraries: Versions of the libraries that took part.
        seed: Seed of everything random in the build.
        source: The model as the user named it, such as ``package.module:factory``.
        target: Name of the target that it was built for.
        options: Options of the build, JSON-able.
    """

    hsnn: str
    target: str
    source: str = ""
    seed: int = 0
    libraries: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """What a few calibration samples did, kept for replay.

    Attributes:
        inputs: Every model input, with its own shape and dtype.
        outputs: Every model output.
        payloads: For each chip stage and each of its ports: int32, ``(timestep, batch, *feature)``.
        sent: For each chip stage: what every population but integrators sent, and everything in
            ``network.outputs``; int32, ``(timestep, batch, *feature)``.
    """

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    payloads: Mapping[str, Mapping[str, Int32]]
    sent: Mapping[str, Mapping[str, Int32]]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A compiled model.

    Stages run in order and exchange arrays by the names of the hybrid model's values.
    :func:`hsnn.validate.validate_program` says what has to hold between the parts.

    Attributes:
        stages: Host and chip stages, in an order in which they can run.
        inputs: Inputs of the model.
        outputs: Outputs of the model.
        metadata: Where it comes from.
        placements: Where every operator went, and why.
        cuts: Every crossing between host and chip.
        cut_spikes: For each value in ``cuts``: spikes per timestep and sample, mean over the
            calibration samples.
        layers: One JSON-able report a layer: scales, errors, rates.
        mapping: JSON-able summary of the placement on neurocores.
        hybrid: The hybrid ONNX model, serialized: the float reference.
        golden: What a few samples did.
        report: The report as one HTML page.
    """

    stages: tuple[ProgramStage, ...]
    inputs: tuple[ModelValue, ...]
    outputs: tuple[ModelValue, ...]
    metadata: Metadata
    placements: tuple[Placement, ...] = ()
    cuts: tuple[Cut, ...] = ()
    cut_spikes: Mapping[str, float] = field(default_factory=dict)
    layers: tuple[Mapping[str, Json], ...] = ()
    mapping: Mapping[str, Json] = field(default_factory=dict)
    hybrid: bytes | None = None
    golden: Golden | None = None
    report: str | None = None

    @property
    def chip_stages(self) -> tuple[ChipStage, ...]:
        """The stages that run on a target."""
        return tuple(stage for stage in self.stages if isinstance(stage, ChipStage))

    @property
    def host_stages(self) -> tuple[HostStage, ...]:
        """The stages that run on ONNX Runtime."""
        return tuple(stage for stage in self.stages if isinstance(stage, HostStage))

    @named_if_missing()
    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write an artifact: one ``.zip`` file if the path ends so, else a folder.

        The same program gives the same bytes. If anything fails, nothing is left behind and what
        was there before is untouched.

        Args:
            path: Where to write; the folder that holds it has to exist.
            overwrite: Whether to replace an artifact that is there.

        Raises:
            HsnnError: If the program contradicts itself, the path is taken, or the disk refuses.
        """
        from hsnn.artifact import save

        save(self, path, overwrite=overwrite)


def require_program(value: object) -> None:
    """Refuse anything but a program where one is asked for.

    Raises:
        UsageError: ``HSNN-U156``.
    """
    if not isinstance(value, Program):
        raise UsageError(
            "HSNN-U156",
            f"what should be run is a {type(value).__name__}",
            allowed="an hsnn.Program",
            fix="hsnn.load(path) reads an artifact, hsnn.compile makes a program",
        )
