"""What the language of kernels lacks or would read in another way than Python is refused, by file and line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from hsnn_targets.emulator.arguments import take_apart
from hsnn_targets.emulator.kernel import Kernel
from hsnn_targets.emulator.kernel_compiler import compile_kernel

HEAD = """\
from typing import NamedTuple
import numpy as np
from hsnn_targets.emulator.jit import inner, kernel, routine
LIMIT, HUGE = 3, 1 << 63
class Pair(NamedTuple):
    first: int
    second: int
@routine
def loose(n) -> int:
    if n:
        return 1
@routine
def again(n) -> int:
    return again(n - 1) if n else 0
@routine
def scattered(*n) -> int:
    return 1
def made(n):
    @inner
    def found() -> int:
        return n
    return found
around = made(2)
@kernel
def main(a, n):
"""
ARRAY = np.zeros(4, np.int64)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module whose kernel has a body, and return its name."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HSNN_CACHE", str(tmp_path / "cache"))

    def write(body):
        name = f"kernel_{len(list(tmp_path.iterdir()))}_{tmp_path.name}"
        Path(tmp_path / f"{name}.py").write_text(HEAD + "".join(f"    {line}\n" for line in body.split("\n")))
        written.append(name)
        return name

    written = []
    yield write
    for name in written:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("a[0] = n << 64", "a shift by 64"),
        ("a[0] = 1 >> -1", "a shift by -1"),
        ("a[0] = n // 0", "division by zero"),
        ("a[0] %= 0", "division by zero"),
        ("a[0] = 9223372036854775808", "does not fit 64 bits"),
        ("a[0] = HUGE", "does not fit 64 bits"),
        ("a[0] = int(0.5 * n) << 0.5", "shifts of floats"),
        ("a[0.5] = 1", "index"),
        ("a[n > 2] = 1", "index"),
        ("a[0] = n and 5", "'and' and 'or' of flags only"),
        ("a[0] = 0 < n < a[n]", "chain of comparisons"),
        ("b = a.view(np.uint8)\na[0] = b.view(np.int64)[0]", "need not start where"),
        ("a[0] = n is n", "whether something is None"),
        ("a[0] = a[1] = 5", "one name or element at a time"),
        ("for i in range(3):\n    a[i] = 1\nelse:\n    a[0] = 2", "no else"),
        ("while n > 3:\n    n -= 1\nelse:\n    a[0] = 2", "no else"),
        ("for i in range(0, n, 0):\n    a[i] = 1", "a step of 0"),
        ("for i in range():\n    a[i] = 1", "one to three"),
        ("a[0] = LIMIT\nLIMIT = 5", "LIMIT has no value yet"),
        ("x = 1\nx = 0.5\na[0] = int(x)", "a float here and an integer there"),
        ("a[0] = loose(n)", "loose ends without a result"),
        ("a[0] = again(n)", "again calls itself"),
        ("a[0] = scattered(n)", "no plain names"),
        ("a[0] = around()", "of the function around it"),
        ("a[0] = Pair(n).first", "has 2 fields, not 1"),
        ("a[0] = int(n, 2)", "with one argument"),
        ("a[0] = int()", "int"),
        ("a[0] = np.nothing(n)", "no attribute"),
        ("a[0] = 7 / n", "no Div"),
        ("a[0] = n ** 2", "no Pow"),
        ("x: int = 5", "no AnnAssign"),
        ("a[0] = (y := n)", "no NamedExpr"),
        ("a[0] = n in a", "no In"),
        ("del n", "no Delete"),
        ("with n:\n    pass", "no With"),
        ("a[0] = [n][0]", "no List"),
        ("a[0] = a.sum()", "not enough values"),
    ],
)
def test_it_is_refused_where_it_stands(body, says, module):
    name = module(body)
    with pytest.raises(TypeError, match=says) as caught:
        compile_kernel(name, "main", [take_apart(part).kind for part in (ARRAY, 1)])
    assert f"{name}.py, line " in str(caught.value)


def test_arrays_of_other_processors_and_short_floats_are_refused(module):
    name = module("a[0] = n")
    for dtype in (">i4", "f4", "c16"):
        with pytest.raises(TypeError, match="kernels know no"):
            compile_kernel(name, "main", [take_apart(part).kind for part in (ARRAY.astype(dtype), 1)])


def test_numbers_without_meaning_elsewhere_have_one(module):
    lines = (
        "low = -9223372036854775808",
        "a[0] = low // (n - 1)",  # stops x86 processors
        "a[1] = low % (n - 1)",
        "a[2] = n // (n - n)",
        "a[3] = (1 << (n + 65)) + (low >> (n - 1))",
        "a[4] = int(1e300 * (n + 1))",
        "a[5] = np.int8(-1e300 * (n + 1))",
        "a[6] = np.uint8(300.5 + n)",
        "if n > 5:\n        never = 7",
        "a[7] = never",
    )
    out = np.ones(8, np.int64)
    Kernel(module("\n".join(lines).replace("\n    ", "\n")), "main")(out, 0)
    lowest, highest = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    np.testing.assert_array_equal(out, [lowest, 0, 0, 2 - 1, highest, -128, 255, 0])
