"""What holds the machine code of ``amx`` does what the manual says, and refuses what a processor refuses."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from support.tile_traps import Instruction, RefusedError, Tiles, decode

REGISTERS = [(number + 1) << 20 for number in range(16)]
SUMS, LEFT, RIGHT = 0, 3, 5


def registers(number):
    return REGISTERS[number]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("c4 e2 78 49 c0", Instruction("tilerelease", size=5)),
        ("c4 e2 7b 49 f0", Instruction("tilezero", (6,), size=5)),
        ("c4 e2 78 49 07", Instruction("ldtilecfg", address=REGISTERS[7], size=5)),
        ("c4 c2 78 49 44 24 c0", Instruction("ldtilecfg", address=REGISTERS[12] - 64, size=7)),
        ("c4 e2 79 49 84 86 00 01 00 00", Instruction("sttilecfg", (), REGISTERS[6] + 256 + 4 * REGISTERS[0], 0, 10)),
        ("c4 e2 7b 4b 14 08", Instruction("tileloadd", (2,), REGISTERS[0], REGISTERS[1], 6)),
        ("c4 82 7b 4b 5c 7d 40", Instruction("tileloadd", (3,), REGISTERS[13] + 64, 2 * REGISTERS[15], 7)),
        ("c4 e2 7a 4b 04 24", Instruction("tilestored", (0,), REGISTERS[4], 0, 6)),
        ("c4 a2 79 4b 04 20", Instruction("tileloaddt1", (0,), REGISTERS[0], REGISTERS[12], 6)),
        ("c4 e2 51 5e c3", Instruction("tdpbusd", (0, 3, 5), size=5)),
        ("c4 e2 6b 5e d9", Instruction("tdpbssd", (3, 1, 2), size=5)),
    ],
    ids=lambda value: value.name if isinstance(value, Instruction) else None,
)
def test_instructions_are_decoded(code, expected):
    assert decode(bytes.fromhex(code) + bytes(8), registers) == expected


@pytest.mark.parametrize(
    "code",
    [
        "0f 0b 00 00 00",  # ud2
        "c4 e2 7c 49 c0",  # 256 bits
        "c4 e2 f8 49 c0",  # VEX.W1
        "c4 e1 78 49 c0",  # another map
        "c4 e2 51 5e c0",  # a tile twice
        "c4 e2 7b 4b 10",  # no SIB byte
        "c4 e2 7b 4b d0",  # no memory
    ],
)
def test_what_is_no_tile_instruction_is_refused(code):
    with pytest.raises(RefusedError):
        decode(bytes.fromhex(code) + bytes(10), registers)


@pytest.fixture
def room():
    return np.zeros(4096, np.uint8)


def configured(room, shapes, **changes):
    """Tiles of the given (rows, bytes of a row), which may use ``room``."""
    tiles = Tiles()
    tiles.memory = [(room.ctypes.data, room.ctypes.data + room.size)]
    room[:64] = 0
    room[0] = 1
    for tile, (rows, width) in shapes.items():
        room[16 + 2 * tile], room[48 + tile] = width, rows
    for place, value in changes.get("at", {}).items():
        room[place] = value
    tiles.run(Instruction("ldtilecfg", address=room.ctypes.data), 0)
    return tiles


@pytest.mark.parametrize("name", ["tdpbuud", "tdpbusd", "tdpbsud", "tdpbssd"])
def test_products_are_those_of_whole_numbers(name, room):
    rng = np.random.default_rng(len(name))
    (m, words, n) = 5, 7, 3
    tiles = configured(room, {SUMS: (m, 4 * n), LEFT: (m, 4 * words), RIGHT: (words, 4 * n)})
    kinds = [np.int8 if letter == "s" else np.uint8 for letter in name[4:6].replace("d", "")]
    drawn = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((m, 4 * words), (words, 4 * n))]
    for tile, bytes_ in zip((LEFT, RIGHT), drawn, strict=True):
        room[1024 : 1024 + bytes_.size] = bytes_.reshape(-1)
        tiles.run(Instruction("tileloadd", (tile,), room.ctypes.data + 1024, bytes_.shape[1]), 0)
    tiles.run(Instruction("tilezero", (SUMS,)), 0)
    for _ in range(2):
        tiles.run(Instruction(name, (SUMS, LEFT, RIGHT)), 0)
    tiles.run(Instruction("tilestored", (SUMS,), room.ctypes.data + 2048, 64), 0)
    found = room[2048 : 2048 + 64 * m].view(np.int32).reshape(m, 16)[:, :n]
    left = drawn[0].view(kinds[0]).astype(int)
    right = drawn[1].view(kinds[1]).astype(int)
    for row in range(m):
        for column in range(n):
            pairs = ((left[row, 4 * k + b], right[k, 4 * column + b]) for k in range(words) for b in range(4))
            assert found[row, column] == 2 * sum(one * other for one, other in pairs)


@pytest.mark.parametrize(
    ("shapes", "changes"),
    [
        ({SUMS: (17, 64)}, {}),
        ({SUMS: (16, 65)}, {}),
        ({SUMS: (0, 64)}, {}),
        ({}, {0: 2}),
        ({}, {3: 1}),
        ({}, {33: 1}),
        ({}, {60: 1}),
    ],
)
def test_shapes_that_a_processor_refuses(shapes, changes, room):
    with pytest.raises(RefusedError):
        configured(room, shapes, at=changes)


def test_uses_that_a_processor_refuses(room):
    product = Instruction("tdpbusd", (SUMS, LEFT, RIGHT))
    with pytest.raises(RefusedError, match="have shapes"):
        Tiles().run(product, 0)
    with pytest.raises(RefusedError, match="fit"):
        configured(room, {SUMS: (4, 16), LEFT: (4, 16), RIGHT: (3, 16)}).run(product, 0)
    tiles = configured(room, {SUMS: (4, 16)})
    with pytest.raises(RefusedError, match="has a shape"):
        tiles.run(Instruction("tilezero", (1,)), 0)
    tiles.run(Instruction("tilerelease"), 0)
    with pytest.raises(RefusedError, match="have shapes"):
        tiles.run(Instruction("tilezero", (SUMS,)), 0)


def test_memory_that_was_not_given_is_refused(room):
    tiles = configured(room, {SUMS: (4, 16)})
    end = room.ctypes.data + room.size
    tiles.run(Instruction("tilestored", (SUMS,), end - 64, 16), 0)
    with pytest.raises(RefusedError, match="bytes at"):
        tiles.run(Instruction("tilestored", (SUMS,), end - 63, 16), 0)
    other = (ctypes.c_uint8 * 64)()
    tiles.run(Instruction("tileloadd", (SUMS,), ctypes.addressof(other), 16), ctypes.addressof(other))  # the stack
