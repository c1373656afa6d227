"""Carry out the instructions of AMX where the processor lacks them: Linux on x86-64, any processor.

Such a processor stops at a tile instruction and the system sends SIGILL. The handler here decodes the instruction, does
what Intel's Software Developer's Manual says (volume 2, LDTILECFG to TILEZERO, and volume 1, chapter 18), and goes on
behind it. All other code runs as it is, so this is the machine code of the tier ``amx`` itself: its encodings,
addresses, strides, shapes and the order that LLVM gave them. What the processor would refuse, this refuses, too. Tiles
are numpy arrays here and nothing of hsnn's; each thread has its own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import traceback
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REGISTERS = (13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7)
"""Where the ucontext of Linux keeps rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15: numbers of 64-bit words."""
FIRST_WORD, RIP = 40, 16
SA_SIGINFO = 4
ROWS, ROW_BYTES, TILES = 16, 64, 8
STACK_BYTES = 1 << 14
"""The stack of a kernel is smaller."""


class RefusedError(Exception):
    """The processor would raise #UD or #GP."""


def need(condition, what):
    """Refuse what the manual lets the processor refuse."""
    if not condition:
        raise RefusedError(what)


@dataclass(frozen=True)
class Instruction:
    """A decoded instruction.

    Attributes:
        name: Of the manual, in lower case.
        tiles: Those of ModRM.reg, ModRM.rm and VEX.vvvv, as far as they are used.
        address: Of the operand in memory.
        stride: Bytes from row to row there.
        size: Bytes of the instruction.
    """

    name: str
    tiles: tuple[int, ...] = ()
    address: int = 0
    stride: int = 0
    size: int = 0


TILE_LOADS = {3: "tileloadd", 1: "tileloaddt1"}
PRODUCTS = {0: "tdpbuud", 1: "tdpbusd", 2: "tdpbsud", 3: "tdpbssd"}
SIGNED = {"tdpbuud": (False, False), "tdpbusd": (False, True), "tdpbsud": (True, False), "tdpbssd": (True, True)}
"""Whether the bytes of the first and of the second factor have signs."""


def decode(code: bytes, register) -> Instruction:
    """Decode a tile instruction.

    Args:
        code: Its bytes, and what follows.
        register: Tells what is in a general register; 4 is rsp.
    """
    need(code[0] == 0xC4, f"three-byte VEX prefix, found {code[:8].hex(' ')}")
    need(code[1] & 0x1F == 2, "opcode map 0F38")
    need(not code[2] & 0x84, "VEX.W0 and VEX.L0")
    further = [(~code[1] >> bit & 1) << 3 for bit in (7, 6, 5)]  # R, X, B
    prefix, unused, opcode, modrm = code[2] & 3, ~code[2] >> 3 & 15, code[3], code[4]
    mod, reg, low = modrm >> 6, modrm >> 3 & 7, modrm & 7
    if opcode == 0x5E:
        need(mod == 3, "registers alone")
        need(not any(further) and unused < TILES, "tiles 0 to 7")
        need(len({reg, low, unused}) == 3, "three different tiles")
        return Instruction(PRODUCTS[prefix], (reg, low, unused), size=5)
    need(unused == 0, "VEX.vvvv 1111b")
    if opcode == 0x49 and mod == 3:
        need(low == 0 and not any(further), "no second register")
        if prefix == 0:
            need(reg == 0, "tilerelease")
            return Instruction("tilerelease", size=5)
        need(prefix == 3, "tilezero")
        return Instruction("tilezero", (reg,), size=5)
    need(mod != 3, "an operand in memory")
    address, stride, size = _operand(code, further, register)
    if opcode == 0x49:
        need(reg == 0 and prefix in (0, 1), "ldtilecfg or sttilecfg")
        return Instruction(("ldtilecfg", "sttilecfg")[prefix], address=address, size=size)
    need(opcode == 0x4B and low == 4 and not further[0], "tileloadd or tilestored with a SIB byte")
    name = "tilestored" if prefix == 2 else TILE_LOADS.get(prefix)
    need(name, "a known prefix")
    return Instruction(name, (reg,), address, stride, size)


def _operand(code, further, register):
    """Address without the stride of a SIB operand, that stride, and the size of the instruction."""
    mod, low, at = code[4] >> 6, code[4] & 7, 5
    scaled = 0
    if low == 4:
        sib = code[at]
        at += 1
        index = (sib >> 3 & 7) | further[1]
        scaled = 0 if index == 4 else register(index) << (sib >> 6)
        low = sib & 7
        based = not (low == 5 and mod == 0)
        base = register(low | further[2]) if based else 0
        width = {0: 0 if based else 4, 1: 1, 2: 4}[mod]
    else:
        need(not (low == 5 and mod == 0), "no address relative to rip")
        base, width = register(low | further[2]), {0: 0, 1: 1, 2: 4}[mod]
    offset = int.from_bytes(code[at : at + width], "little", signed=True)
    # The index of tiles' rows is their stride, and does not move the first one.
    stride = scaled if code[3] == 0x4B else 0
    return base + offset + scaled - stride, stride, at + width


class Tiles:
    """The eight tiles of a thread and their shapes.

    Attributes:
        memory: Addresses of what it may read and write, as (first, behind the last).
        done: How many instructions of each name were carried out.
    """

    def __init__(self):
        self.memory: Sequence[tuple[int, int]] = ()
        self.done: Counter[str] = Counter()
        self._stack = 0
        self._release()

    def run(self, instruction: Instruction, stack: int) -> None:
        """Carry out an instruction; ``stack`` is where the stack's used part begins."""
        self._stack = stack
        self.done[instruction.name] += 1
        if instruction.name == "ldtilecfg":
            self._configure(self._at(instruction.address, 64))
        elif instruction.name == "tilerelease":
            self._release()
        elif instruction.name == "tilezero":
            self._shape(instruction.tiles[0])
            self._data[instruction.tiles[0]] = 0
        elif instruction.name in ("tileloadd", "tileloaddt1"):
            self._load(instruction)
        elif instruction.name == "tilestored":
            self._store(instruction)
        else:
            need(instruction.name in SIGNED, f"{instruction.name}: not known here")
            self._multiply(instruction)

    def _at(self, address, size):
        """Memory that the kernel was given, or of its stack."""
        places = (*self.memory, (self._stack, self._stack + STACK_BYTES))
        inside = any(first <= address and address + size <= last for first, last in places)
        need(inside, f"{size} bytes at {address:#x} of {[(hex(first), hex(last)) for first, last in places]}")
        return np.frombuffer((ctypes.c_uint8 * size).from_address(address), np.uint8)

    def _release(self):
        self._rows, self._bytes = np.zeros(TILES, int), np.zeros(TILES, int)
        self._data, self._configured = np.zeros((TILES, ROWS, ROW_BYTES), np.uint8), False

    def _configure(self, told):
        self._release()
        if told[0] == 0:
            return
        need(told[0] == 1, "palette 1")
        need(told[1] == 0 and not told[2:16].any() and not told[32:48].any() and not told[56:64].any(), "reserved: 0")
        widths, rows = told[16:32].copy().view("<u2").astype(int), told[48:56].astype(int)
        need((widths <= ROW_BYTES).all() and (rows <= ROWS).all(), "at most 16 rows of 64 bytes")
        need(((widths == 0) == (rows == 0)).all(), "rows and bytes, or neither")
        self._rows, self._bytes, self._configured = rows, widths, True

    def _shape(self, tile):
        need(self._configured, "tiles have shapes")
        need(self._rows[tile] > 0, f"tile {tile} has a shape")
        return int(self._rows[tile]), int(self._bytes[tile])

    def _load(self, instruction):
        (tile,) = instruction.tiles
        rows, width = self._shape(tile)
        self._data[tile] = 0
        for row in range(rows):
            self._data[tile, row, :width] = self._at(instruction.address + row * instruction.stride, width)

    def _store(self, instruction):
        (tile,) = instruction.tiles
        rows, width = self._shape(tile)
        for row in range(rows):
            self._at(instruction.address + row * instruction.stride, width)[:] = self._data[tile, row, :width]

    def _multiply(self, instruction):
        sums, left, right = instruction.tiles
        (m, n), (left_rows, k), (words, right_bytes) = self._shape(sums), self._shape(left), self._shape(right)
        need(m == left_rows and n == right_bytes and k == 4 * words, f"shapes {(m, n)}, {(left_rows, k)}, {words} fit")
        need(n % 4 == 0 and k % 4 == 0, "whole words")
        kinds = [np.int8 if signed else np.uint8 for signed in SIGNED[instruction.name]]
        one = self._data[left, :m, :k].view(kinds[0]).astype(np.int64)
        other = self._data[right, :words, :n].view(kinds[1]).reshape(words, n // 4, 4).astype(np.int64)
        product = one @ other.transpose(0, 2, 1).reshape(k, n // 4)
        total = self._data[sums, :m, :n].view("<u4") + product
        self._data[sums] = 0  # beyond its shape a tile that is written is zero
        self._data[sums, :m, :n] = (total & 0xFFFFFFFF).astype("<u4").view(np.uint8)


class _Action(ctypes.Structure):
    """The ``struct sigaction`` of glibc."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_uint8 * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


_KEPT: list[object] = []


def trap() -> defaultdict[int, Tiles]:
    """Carry out tile instructions of this process from now on; an instruction that is refused ends it.

    Returns:
        Tiles of each thread, by its identifier; a thread may use the memory that its tiles name.
    """
    tiles: defaultdict[int, Tiles] = defaultdict(Tiles)

    def handle(_signal, _info, context):
        words = (ctypes.c_uint64 * 23).from_address(context + FIRST_WORD)
        code = ctypes.string_at(words[RIP], 15)
        try:
            instruction = decode(code, lambda number: words[REGISTERS[number]])
            tiles[threading.get_ident()].run(instruction, words[REGISTERS[4]])
        except BaseException:  # noqa: BLE001 - what is raised here would be lost, and the instruction come again
            traceback.print_exc()
            sys.stderr.write(f"refused: {code.hex(' ')}\n")
            sys.stderr.flush()
            os._exit(70)
        words[RIP] += instruction.size

    entry = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(handle)
    action = _Action(handler=ctypes.cast(entry, ctypes.c_void_p).value, flags=SA_SIGINFO)
    _KEPT.append(entry)
    if ctypes.CDLL(None).sigaction(int(signal.SIGILL), ctypes.byref(action), None):
        raise OSError("sigaction refused a handler of SIGILL")
    return tiles
