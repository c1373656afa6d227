"""The language of kernels: marked functions do what Python does, and what it lacks is refused by its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from hsnn_targets.emulator.arguments import take_apart
from hsnn_targets.emulator.jit import inner, kernel, routine
from hsnn_targets.emulator.kernel import Kernel
from hsnn_targets.emulator.kernel_compiler import compile_kernel
from hsnn_targets.emulator.memory_ir import copy_bytes

STEP = 3
MASK = np.uint64(0xFF)
PAIR = np.dtype([("small", np.int16), ("large", np.int64)])


class Data(NamedTuple):
    words: np.ndarray
    table: np.ndarray
    records: np.ndarray
    extra: object


class Part(NamedTuple):
    first: int
    last: int


@inner
def wrapped(x: int) -> np.int32:
    return np.int32(x)


@inner
def picked(part: Part, flag: bool) -> int:
    return part.first if flag else part.last


@routine
def counted(words: np.ndarray, part: Part) -> int:
    total = 0
    for k in range(part.first, part.last):
        if words[k] < 0:
            continue
        if total > 40:
            break
        total += words[k] % 7
    return total


@inner
def numbers(a: int, b: int, out: np.ndarray) -> None:
    out[0] = a + b
    out[1] = a - b
    out[2] = a * b
    out[3] = a // (b if b != 0 else 1)
    out[4] = a % (b | 1)
    out[5] = a // -5
    out[6] = a % 5
    out[7] = (a << 3) >> 1
    out[8] = (a & 12) | (b ^ 5)
    out[9] = -a
    out[10] = abs(np.int32(a))
    out[11] = min(a, b, 4)
    out[12] = max(a, np.int32(b))
    out[13] = 1 < a <= b
    out[14] = not (a > 0 and b > 0) or a == b
    out[15] = np.int64(np.uint8(a)) + np.int64(np.int16(b))
    out[16] = np.int64(((np.uint64(a) & MASK) + MASK) >> np.uint64(2))
    out[17] = int(np.floor(0.5 * a - 0.25 * b))
    out[18] = int(bool(a)) + int(float(b))
    out[19] = 1 if 0.5 * a < b else 0


@kernel
def calculate(data: Data, a: int, b: int, flag: bool, out: np.ndarray) -> None:
    numbers(a, b, out)
    words, rest = data.words, out[20:]
    rest[0] = picked(Part(a, b), flag)
    rest[1] = counted(words, Part(1, words.size))
    chosen, scale = (words, 2) if flag else (words[1:], STEP)
    rest[2] = chosen[2] * scale
    value = np.int32(a)
    for k in range(3):
        value = value + k  # wider than where it began
    rest[3] = value
    k = words.size - 1
    while k > 0 and words[k] != words[0]:
        k -= 1
    rest[4] = k
    for i in range(data.table.shape[0]):
        row = data.table[i]
        for j in range(row.size - 1, -1, -2):
            rest[5] += row[j] * (i + 1)
    for i in range(0, words.size, STEP):
        rest[6] += words[i]
    record = data.records[1]
    rest[7] = record["small"] + data.records[0]["large"]
    data.table[:, 1] = 7
    rest[8:10] = b
    rest[10] = data.table[1, 1] + data.table[0, 2]
    rest[11] = rest[8:].size
    if data.extra is None:
        rest[12] = 5
    else:
        rest[12] = data.extra.nothing
    if flag:
        rest[13] = 9
        return
    rest[14] = wrapped(a << 31)
    bytes_ = words.view(np.uint8)
    rest[15] = bytes_[1]


def arguments(seed):
    rng = np.random.default_rng(seed)
    records = np.zeros(2, PAIR)
    records["small"], records["large"] = rng.integers(-99, 99, 2), rng.integers(-(1 << 40), 1 << 40, 2)
    words = rng.integers(-50, 50, 12).astype(np.int32)
    data = Data(words, rng.integers(-9, 9, (2, 5)).astype(np.int16), records, None)
    a, b = rng.integers(-100, 100, 2)
    return data, a, b, bool(seed % 2)


def test_kernels_do_what_python_does(tmp_path, monkeypatch):
    monkeypatch.setenv("HSNN_CACHE", str(tmp_path))
    compiled = Kernel(__name__, "calculate")
    for seed in range(100):
        outs = []
        for run in (compiled, calculate):
            out = np.zeros(40, np.int64)
            data, *rest = arguments(seed)
            with np.errstate(over="ignore"):
                run(data, *rest, out)
            outs += [(out, data.table)]
        np.testing.assert_array_equal(outs[0][0], outs[1][0], err_msg=str(seed))
        np.testing.assert_array_equal(outs[0][1], outs[1][1])


@kernel
def reach(words: np.ndarray, at: int) -> None:
    words[at] = 1


@kernel
def reach_bytes(words: np.ndarray, at: int) -> None:
    bytes_ = words.view(np.uint8)
    copy_bytes(bytes_, at, 0, 4)
    words[3] = 1


def test_code_that_looks_at_indices_stops_at_one_outside():
    code = (
        "import ctypes, sys, numpy as np\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from hsnn_targets.emulator.arguments import take_apart\n"
        "from hsnn_targets.emulator.kernel_compiler import compile_kernel\n"
        "from hsnn_targets.emulator.objects import load\n"
        "import struct\n"
        "parts = [take_apart(x) for x in (np.zeros(4, np.int32), 3)]\n"
        "entry = load(compile_kernel('test_kernel_language', sys.argv[3], [p.kind for p in parts], checked=True))\n"
        "words = [*parts[0].words, int(sys.argv[2])]\n"
        "print(entry(struct.pack('3q', *words)), parts[0].held)\n"
    )
    folder = str(Path(__file__).parent)
    cases = (("reach", 3, True), ("reach", 4, False), ("reach", -1, False))
    for name, at, fine in (*cases, ("reach_bytes", 12, True), ("reach_bytes", 13, False), ("reach_bytes", -1, False)):
        run = subprocess.run([sys.executable, "-c", code, folder, str(at), name], capture_output=True, text=True)
        assert (run.returncode == 0) == fine, run.stderr
        assert ("[0 0 0 1]" in run.stdout) == fine


@kernel
def unknown(words: np.ndarray) -> None:
    words[0] = sum(words)


@kernel
def mixed(words: np.ndarray) -> None:
    words[0] = np.uint64(words[1]) + words[2]


@kernel
def sliced(words: np.ndarray) -> None:
    words[::2] = 1


@inner
def torn(words: np.ndarray) -> None:
    for word in words:
        words[0] = word


@inner
def silent(words: np.ndarray):
    return words[0]


@kernel
def untold(words: np.ndarray) -> None:
    words[0] = silent(words)


@kernel
def nested(words: np.ndarray) -> None:
    torn(words)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("unknown", r"cannot call(.|\n)*sum\(words\)"),
        ("mixed", "nothing in common"),
        ("sliced", "no steps"),
        ("untold", "silent declares no type"),
        ("nested", r"ranges only(.|\n)*for word in words"),
    ],
)
def test_what_it_lacks_is_refused_by_its_place(name, says):
    with pytest.raises(TypeError, match=says) as caught:
        compile_kernel(__name__, name, [take_apart(np.zeros(3, np.int64)).kind])
    assert "test_kernel_language.py, line" in str(caught.value)
