"""A network as Lava processes, said in plain data: what the worker builds without knowing hsnn's networks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hsnn.ir.shape import Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal[
    "source",
    "sink",
    "lif_reset",
    "always",
    "gated_lif",
    "gated_adaptive",
    "gated_resonator",
    "gated_integrator",
    "gated_sigma_delta",
    "dense",
    "delay_dense",
    "delay_line",
    "sparse",
    "delay_sparse",
    "conv",
    "wide_conv",
    "learner",
    "plastic_dense",
]
BLUEPRINT_FILE, ARRAYS_FILE, STATE_FILE = "blueprint.json", "arrays.npz", "state.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One Lava process.

    Attributes:
        name: Unique in the blueprint; populations keep their name behind ``population:``.
        kind: Which process.
        settings: What its constructor takes beside arrays; numbers, strings and lists of them.
        arrays: Arrays that its constructor takes.
        obstacle: Why Lava's own process cannot do it, one sentence, or an empty string.
    """

    name: str
    kind: Kind
    settings: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Wire:
    """A connection from one part's port to another's; shapes may differ, sizes do not."""

    source: str
    source_port: str
    target: str
    target_port: str


@dataclass(frozen=True, slots=True, eq=False)
class Ring:
    """A file through which spikes of many samples pass.

    Attributes:
        name: Port or population whose spikes it holds.
        file: File name in the worker's directory.
        dtype: Numpy name of the element type.
        shape: Shape of the array: ``(slots, timesteps, *lava_shape)``.
        content: What it holds for good, or None if it changes with the samples.
    """

    name: str
    file: str
    dtype: str
    shape: Shape
    content: NDArray[Any] | None = None

    def open(self, directory: Path) -> NDArray[Any]:
        """Create the file and map it into memory."""
        ring = np.memmap(directory / self.file, self.dtype, "w+", shape=self.shape)
        if self.content is not None:
            ring[:] = self.content
            ring.flush()
        return ring


@dataclass(frozen=True, slots=True, eq=False)
class Blueprint:
    """All parts of a network, how they are wired, and the files at its borders.

    Attributes:
        parts: In an order that follows the network.
        wires: Connections.
        feeds: Files that the sources read.
        records: Files that the sinks write, one for every recorded population.
    """

    parts: tuple[Part, ...]
    wires: tuple[Wire, ...]
    feeds: tuple[Ring, ...]
    records: tuple[Ring, ...]

    def save(self, directory: Path) -> None:
        """Write parts and wires for a worker."""
        plain = {
            "parts": [
                {"name": p.name, "kind": p.kind, "settings": p.settings, "arrays": [*p.arrays]} for p in self.parts
            ],
            "wires": [asdict(wire) for wire in self.wires],
        }
        (directory / BLUEPRINT_FILE).write_text(json.dumps(plain), encoding="utf-8")
        arrays = {f"{i}/{key}": array for i, p in enumerate(self.parts) for key, array in p.arrays.items()}
        np.savez(directory / ARRAYS_FILE, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for allow_pickle

    @staticmethod
    def load(directory: Path) -> Blueprint:
        """Read what :meth:`save` wrote; feeds and records stay with the one who wrote it."""
        plain = json.loads((directory / BLUEPRINT_FILE).read_text(encoding="utf-8"))
        with np.load(directory / ARRAYS_FILE, allow_pickle=False) as arrays:
            parts = tuple(
                Part(
                    entry["name"],
                    entry["kind"],
                    entry["settings"],
                    {key: arrays[f"{index}/{key}"] for key in entry["arrays"]},
                )
                for index, entry in enumerate(plain["parts"])
            )
        return Blueprint(parts, tuple(Wire(**wire) for wire in plain["wires"]), (), ())
