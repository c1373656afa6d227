"""How the synapses of a network have been run so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """One projection: how often it was run each way, and where the border between them lies.

    Attributes:
        products: Samples' windows that ran as a product of bytes.
        events: Samples' windows that ran as events, where a product was possible.
        limit: Events in a timestep up to which events are preferred; None where they are the only way.
    """

    products: int
    events: int
    limit: int | None
