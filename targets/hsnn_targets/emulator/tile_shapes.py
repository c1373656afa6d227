"""Shapes of the tiles of the tier ``amx``; see ``instructions_amx.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn_targets.emulator.vector_tables import LANES

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Int32

TILE_ROWS, TILE_WORDS = 16, 16
"""Rows and words of a row that a tile has at most."""
SUMS = (0, 1)
WHOLE, REST = (2, 3), (4, 5)
"""Tiles of weights and of spikes: for 16 words, and for the last words of a piece."""
SHORTEST_PIECE = 4
"""Words in a row from which on tiles pay."""


def tile_shapes(piece: int) -> Int32:
    """Shapes of the tiles for pieces of so many words: what ``ldtilecfg`` loads, 64 bytes.

    Byte 0 is the palette, 1; the bytes of a row of tile ``k`` are the 16-bit number at ``16 + 2 k``, its rows the byte
    at ``48 + k`` (Intel, Software Developer's Manual, LDTILECFG).
    """
    shapes = np.zeros(64, np.uint8)
    shapes[0] = 1

    def shape(tile: int, rows: int, row_bytes: int) -> None:
        shapes[16 + 2 * tile], shapes[48 + tile] = row_bytes, rows

    for tile in SUMS:
        shape(tile, TILE_ROWS, 4 * LANES)
    for (weights, spikes), words in ((WHOLE, TILE_WORDS), (REST, piece % TILE_WORDS or TILE_WORDS)):
        shape(weights, words, 4 * LANES)
        shape(spikes, TILE_ROWS, 4 * words)
    return shapes.view(np.int32)
