"""Senders of spikes as the kernels know them: numbered, with their room in scratch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hsnn.ir.populations import ConstantSource, InputPort, Sender, largest_payload
from hsnn.ir.projections import Projection
from hsnn.ir.shape import size
from hsnn_targets.emulator import tables
from hsnn_targets.emulator.heap import Heap
from hsnn_targets.emulator.pack import order_of

SPARE = 64
"""Events that the search for spikes may write past the last one."""


class Nodes:
    """Senders of spikes, numbered, with their room in scratch.

    Attributes:
        number: Number of each sender.
        graded: Whether events of each sender carry payloads.
        events, payloads, starts: Elements of scratch that they take.
    """

    def __init__(self, live: tuple[Projection, ...], senders: tuple[Sender, ...], *, window: int) -> None:
        self.graded = {sender.name: is_graded(sender) for sender in senders}
        self.number = {sender.name: place for place, sender in enumerate(senders)}
        self.events = self.payloads = self.starts = 0
        self._senders = senders
        self._rows: list[dict[str, int]] = []
        ports = 0
        for sender in senders:
            count, graded = size(sender.shape), is_graded(sender)
            history = max((p.delay for p in live if p.pre == sender.name), default=0)
            room = (history + window) * count + SPARE
            self._rows.append(
                {
                    "number": len(self._rows),
                    "count": count,
                    "history": history,
                    "events_at": self.events,
                    "payload_at": self.payloads if graded else -1,
                    "start_at": self.starts,
                    "input_at": ports,
                }
            )
            self.events += room
            self.payloads += room if graded else 0
            self.starts += history + window + 1
            ports += count if isinstance(sender, InputPort) else 0

    def records(
        self,
        lists: Heap[np.int32],
        *,
        planes: Mapping[str, int],
        kept: Mapping[str, int],
        limits: Mapping[str, int],
        floors: Mapping[str, int],
    ) -> list[dict[str, int]]:
        """Fields of all senders' records.

        Args:
            lists: Takes the order of each sender.
            planes: Where the bytes of each sender that has some start in a window.
            kept: Timesteps before a window of which bytes are still asked for.
            limits: Events in a timestep up to which somebody may ask for them, of each sender.
            floors: Events in a timestep above which somebody asks for bytes.
        """
        kinds = {InputPort: tables.PORT, ConstantSource: tables.CONSTANT}
        rows = []
        for sender, row in zip(self._senders, self._rows, strict=True):
            order = order_of(sender.shape).inner
            rows.append(
                {
                    **row,
                    "kind": kinds.get(type(sender), tables.NEURONS),
                    "order_at": lists.add(order),
                    "ordered": not np.array_equal(order, np.arange(order.size)),
                    "plane_at": planes.get(sender.name, -1),
                    "plane_stride": tables.padded(row["count"]),
                    "kept": kept.get(sender.name, 0),
                    "limit": limits[sender.name],
                    "floor": floors[sender.name],
                    **_payloads(sender),
                }
            )
        return rows


def _payloads(sender: Sender) -> dict[str, int]:
    """What a port may bring."""
    if not isinstance(sender, InputPort):
        return {}
    raised = sender.max_payload if sender.signed else 0
    return {"raised": raised, "reach": raised + sender.max_payload}


def is_graded(sender: Sender) -> bool:
    """Whether events of a sender carry payloads."""
    return sender.graded if isinstance(sender, InputPort) else largest_payload(sender) != (1, False)
