"""Room for spikes as bytes: a plane for every sender that has one, and frames of zeros for convolutions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hsnn.ir.populations import ConstantSource, CountingLifPopulation, Sender
from hsnn.ir.shape import size
from hsnn_targets.emulator.nodes import is_graded
from hsnn_targets.emulator.tables import TILE, padded
from hsnn_targets.emulator.vector_pack import Product


@dataclass(frozen=True, slots=True)
class Planes:
    """Where bytes lie.

    Attributes:
        of_sender: Where the first timestep of a window is in each sender's plane.
        of_frame: Where the frame of each projection that has one starts.
        size: Bytes in all.
    """

    of_sender: Mapping[str, int]
    of_frame: Mapping[str, int]
    size: int


def shared_plane(senders: Iterable[Sender], window: int) -> Planes:
    """One plane for all that send spikes or counts of them, where these stay only until they are events."""
    own = [sender for sender in senders if _has_spikes(sender)]
    width = max((padded(size(sender.shape)) for sender in own), default=0)
    return Planes(dict.fromkeys((sender.name for sender in own), 0), {}, width * window)


def own_planes(
    senders: Iterable[Sender], products: Mapping[str, Product], kept: Mapping[str, int], window: int
) -> Planes:
    """A plane for each that sends spikes or counts of them and for each graded port in ``kept``, then the frames.

    Args:
        senders: Those that send anything.
        products: Projections that can run as products.
        kept: Timesteps before a window that they still ask for, of each sender that they come from.
        window: Timesteps of a window.
    """
    used = 0
    of_sender, of_frame = {}, {}
    for sender in senders:
        if _has_spikes(sender) or sender.name in kept:
            row, before = padded(size(sender.shape)), kept.get(sender.name, 0)
            of_sender[sender.name] = used + row * before
            used += row * (before + window)
    for name, product in products.items():
        if product.frame:
            of_frame[name] = used
            used += padded(product.frame) * window
    return Planes(of_sender, of_frame, used + TILE)  # a kernel may look past the last byte, at weight 0


def _has_spikes(sender: Sender) -> bool:
    return isinstance(sender, CountingLifPopulation) or not (isinstance(sender, ConstantSource) or is_graded(sender))
