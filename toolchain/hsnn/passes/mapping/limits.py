"""Limits of a chip that hold or not wherever a network is placed, and what helps against each shortage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.mapping import Shortage
from hsnn.ir.populations import CountingLifPopulation, LifPopulation, sends_spikes
from hsnn.passes.mapping.needs import weight_bits

if TYPE_CHECKING:
    from hsnn.ir.chip import Chip

PIN = "or keep the population on the host with --pin NAME-GLOB=host"
FIXES = {
    "neurocores": "make the largest populations smaller, keep a segment on the host with --pin NAME-GLOB=host, or name "
    "a board of several chips: --chip kapoho-point has eight, hala-point 1,152",
    "neurons": "use a chip whose neurocores hold at least one neuron",
    "synapse_bits": f"give each neuron fewer inputs, or make the layer convolutional; {PIN}",
    "axons_in": "give each neuron fewer inputs: pool before a dense layer, or make it convolutional or sparse; " + PIN,
    "axons_out": "send to smaller populations, which lie on fewer neurocores",
    "delay": "shorten the delay, or split it over a relay population",
    "refractory": "shorten the refractory time",
    "payload_bits": "encode the input with fewer bits, or set max_spikes of neurons that count",
    "weight_bits": "use a chip whose weights have 8 bits and a sign; hsnn quantizes to nothing else",
}
"""What the user can do about each shortage, by resource."""
ASSUMED = "; the limit is assumed: a chip file with a better one can be passed as --chip FILE.toml"


def shortage(chip: Chip, resource: str, where: str, needed: int) -> Shortage:
    """Describe a limit that does not hold.

    Args:
        chip: The chip.
        resource: Name of the limit, a field of the chip.
        where: What needs too much of it.
        needed: How much it needs, in the limit's unit.
    """
    limit = getattr(chip, resource)
    return Shortage(resource, where, needed, limit, FIXES[resource] + (ASSUMED if limit.status == "assumed" else ""))


def check_limits(network: IntegerNetwork, chip: Chip) -> tuple[Shortage, ...]:
    """Check delays, refractory times, payloads and weights; returns every shortage, in the network's order."""
    needs = [
        *(
            ("payload_bits", f"input {port.name!r}", port.max_payload.bit_length() + port.signed)
            for port in network.inputs
            if port.graded
        ),
        *(
            ("payload_bits", f"population {p.name!r}", p.largest_count.bit_length())
            for p in network.populations
            if isinstance(p, CountingLifPopulation) and not sends_spikes(p)
        ),
        *(
            ("refractory", f"population {p.name!r}", p.refractory)
            for p in network.populations
            if isinstance(p, LifPopulation)
        ),
        *(("delay", f"projection {p.name!r}", p.delay) for p in network.projections),
        *(("weight_bits", f"projection {p.name!r}", weight_bits(p)) for p in network.projections),
    ]
    return tuple(
        shortage(chip, resource, f"{where} of segment {network.name!r}", needed)
        for resource, where, needed in needs
        if needed > getattr(chip, resource).value
    )
