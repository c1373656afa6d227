"""What programs in the language of kernels mean, said a second time: plain Python with numbers that wrap.

Nothing here comes from :mod:`hsnn_targets.emulator.language`; it is what that package's docstring promises.
"""

from __future__ import annotations

import ast
import math
import operator
from types import SimpleNamespace

import numpy as np

OPERATORS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": lambda a, b: a if b == 0 else a // b,
    "mod": lambda a, b: 0 if b == 0 else a % b,
    "lshift": lambda a, b: a << (b & 63),
    "rshift": lambda a, b: a >> (b & 63),
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
}


class Number:
    """A number of a kind: ``b``, ``f``, or a letter and its bits, as ``i8`` or ``u64``."""

    def __init__(self, value, kind):
        self.value, self.kind = wrap(value, kind), kind

    def __bool__(self):
        return self.value != 0

    def __index__(self):
        return self.value

    def __neg__(self):
        return Number(-self.value, "f" if self.kind == "f" else meet("sub", lift(0), self))

    def __invert__(self):
        return lift(-1) ^ self

    def __abs__(self):
        return Number(abs(self.value), self.kind)


def wrap(value, kind):
    """Cut a value to what a kind holds."""
    if kind == "f":
        return float(value)
    if kind == "b":
        return int(value != 0)
    letter, bits = kind[0], int(kind[1:])
    low, high = (0, (1 << bits) - 1) if letter == "u" else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    if isinstance(value, float):
        return (
            0
            if math.isnan(value)
            else int(min(max(value, low), high))
            if math.isfinite(value)
            else (high if value > 0 else low)
        )
    return low + (value - low) % (1 << bits)


def lift(value):
    """A number of Python's or numpy's."""
    if isinstance(value, Number):
        return value
    if isinstance(value, (bool, np.bool_)):
        return Number(int(value), "b")
    if isinstance(value, np.generic):
        kind = value.dtype.kind
        return Number(value.item(), "f" if kind == "f" else f"{kind}{8 * value.dtype.itemsize}")
    return Number(value, "f" if isinstance(value, float) else "i64")


def meet(name, left, right):
    """The kind that an operator calculates in."""
    if name in ("lshift", "rshift"):
        return "u64" if left.kind[0] == "u" else "i64"
    if "f" in (left.kind, right.kind):
        return "f"
    if name in ("and", "or", "xor") and left.kind == right.kind == "b":
        return "b"
    unsigned = left.kind[0] == right.kind[0] == "u" or "u64" in (left.kind, right.kind)
    return "u64" if unsigned else "i64"


def _add_operators():
    for name, function in OPERATORS.items():

        def operate(left, right, name=name, function=function):
            left, right = lift(left), lift(right)
            kind = meet(name, left, right)
            return Number(function(wrap(left.value, kind), wrap(right.value, kind)), kind)

        setattr(Number, f"__{name}__", operate)
        setattr(Number, f"__r{name}__", lambda right, left, operate=operate: operate(left, right))
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):

        def compare(left, right, name=name):
            left, right = lift(left), lift(right)
            kind = "f" if "f" in (left.kind, right.kind) else None
            one, other = (wrap(x.value, kind) if kind else x.value for x in (left, right))
            return Number(int(getattr(operator, name)(one, other)), "b")

        setattr(Number, f"__{name}__", compare)


_add_operators()


class Cells:
    """An array whose elements are such numbers."""

    def __init__(self, array):
        self.array = array

    @property
    def size(self):
        return lift(self.array.size)

    @property
    def shape(self):
        return tuple(lift(length) for length in self.array.shape)

    def __getitem__(self, index):
        found = self.array[index]
        return Cells(found) if isinstance(found, np.ndarray) else lift(found)

    def __setitem__(self, index, value):
        dtype = self.array.dtype
        kind = dtype.kind if dtype.kind in "bf" else f"{dtype.kind}{8 * dtype.itemsize}"
        self.array[index] = wrap(lift(value).value, kind)


def _cast(kind):
    return lambda value: Number(lift(value).value, kind)


def _extreme(first):
    def find(*values):
        best = lift(values[0])
        for value in map(lift, values[1:]):
            best = value if first(value, best) else best
        return best

    return find


KINDS = [f"{letter}{bits}" for letter in "iu" for bits in (8, 16, 32, 64)]
NAMES = {
    "np": SimpleNamespace(
        floor=lambda value: Number(float(np.floor(wrap(lift(value).value, "f"))), "f"),
        float64=_cast("f"),
        **{("u" if kind[0] == "u" else "") + f"int{kind[1:]}": _cast(kind) for kind in KINDS},
    ),
    "int": _cast("i64"),
    "bool": _cast("b"),
    "float": _cast("f"),
    "min": _extreme(operator.lt),
    "max": _extreme(operator.gt),
    "range": lambda *ends: map(lift, range(*ends)),
    "lift": lift,
}


class _Rewrite(ast.NodeTransformer):
    def visit_Constant(self, node):
        known = isinstance(node.value, (int, float))
        return ast.Call(ast.Name("lift", ast.Load()), [node], []) if known else node

    def visit_UnaryOp(self, node):
        self.generic_visit(node)
        return ast.Call(ast.Name("lift", ast.Load()), [node], []) if isinstance(node.op, ast.Not) else node

    def visit_FunctionDef(self, node):
        self._result, node.returns, node.decorator_list = node.returns, None, []
        for argument in node.args.args:
            argument.annotation = None
        return self.generic_visit(node)

    def visit_Return(self, node):
        self.generic_visit(node)
        return ast.Return(ast.Call(self._result, [node.value], [])) if node.value else node


def read(source):
    """Functions of a module in the language, as functions of Python that take arrays as ``Cells``."""
    tree = ast.parse(source)
    tree.body = [_Rewrite().visit(node) for node in tree.body if isinstance(node, ast.FunctionDef)]
    names = dict(NAMES)
    exec(compile(ast.fix_missing_locations(tree), "<programs>", "exec"), names)  # what it makes is run by a test
    return names
