"""What a neuromorphic chip can hold: limits as data, each with its source and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["published", "measured", "assumed"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a chip, and where it is from.

    Attributes:
        value: The largest number allowed; for ``conv_shared`` whether the chip can do it.
        unit: What is counted.
        source: Where the number comes from.
        status: Whether it was published by the maker or by users of the chip, measured, or assumed.
    """

    value: int
    unit: str
    source: str
    status: Status

    def __str__(self) -> str:
        return f"{self.value:,} {self.unit} ({self.status}: {self.source})"


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip. Every limit but ``neurocores`` is that of one neurocore, neuron or synapse.

    Attributes:
        name: Short name.
        description: One sentence.
        neurocores: Neurocores that programs can use.
        neurons: Neurons of a neurocore.
        synapse_bits: Synaptic memory of a neurocore.
        axons_in: Presynaptic neurons that a neurocore can listen to.
        axons_out: Pairs of a neuron and a neurocore that it sends to.
        delay: Longest delay of a synapse beyond the timestep that it takes anyway.
        refractory: Longest refractory time of a neuron.
        payload_bits: Bits of a graded spike, sign included.
        weight_bits: Bits of a weight; a layer that uses fewer takes less memory.
        index_bits: Bits that name the target of a synapse in sparse storage.
        delay_bits: Bits that the delay of a synapse takes where there is one.
        conv_shared: Whether a neurocore stores the kernel of a convolution once (1) or each of its
            synapses for itself (0).
    """

    name: str
    description: str
    neurocores: Limit
    neurons: Limit
    synapse_bits: Limit
    axons_in: Limit
    axons_out: Limit
    delay: Limit
    refractory: Limit
    payload_bits: Limit
    weight_bits: Limit
    index_bits: Limit
    delay_bits: Limit
    conv_shared: Limit
