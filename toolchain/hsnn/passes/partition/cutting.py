"""What a cut decides: which neurons and synapses go onto the chip, and in what order host and chip take turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hsnn.passes.partition.chip_neuron import ChipNeuron
from hsnn.passes.partition.levels import Levels

Side: TypeAlias = Literal["host", "chip"]


@dataclass(frozen=True, slots=True, eq=False)
class Cutting:
    """Where everything goes.

    Attributes:
        neurons: Neurons that go onto the chip, in dataflow order.
        on_chip: Names of the nodes that become synapses.
        sides: By node name: the side that the user wants.
        levels: When host and chip have their turns.
        groups: Neurons of each chip segment, in order of level.
    """

    neurons: tuple[ChipNeuron, ...]
    on_chip: frozenset[str]
    sides: Mapping[str, Side]
    levels: Levels
    groups: tuple[tuple[ChipNeuron, ...], ...]

    def chip_values(self) -> frozenset[str]:
        """Names of the values that neurons on the chip send."""
        return frozenset(neuron.value for neuron in self.neurons)
