"""Samples that threads share however small they are."""

from __future__ import annotations

from hsnn_targets.emulator import blocks, parts


def cut_everything(patch):
    """Have every stage cut that can be, into parts of one timestep or tile where products allow it, and shared."""
    patch.setattr(parts, "STAGE_SECONDS", 0.0)
    patch.setattr(parts, "PIECES", 1000)
    patch.setattr(blocks, "BLOCK_SECONDS", 1e-9)
