"""Expressions of the language."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn_targets.emulator.jit import MARK
from hsnn_targets.emulator.language.arrays import Arrays, Cut
from hsnn_targets.emulator.language.numbers import cast, compare, extreme, join, magnitude, negate, operate
from hsnn_targets.emulator.language.types import (
    FLAG_TYPE,
    FLOAT,
    NONE,
    WORD,
    Array,
    Code,
    Group,
    Nothing,
    Record,
    Type,
    Typed,
    constant,
    group,
    known,
    number_of,
    split,
)
from hsnn_targets.emulator.lowering import FLAG, INTRINSIC, LONG, Builder, declare
from hsnn_targets.emulator.vector_ir import Array as Memory

if TYPE_CHECKING:
    from hsnn_targets.emulator.language.functions import Unit
    from hsnn_targets.emulator.language.syntax import Definition

READS = (ast.Subscript, ast.Call)


class Expressions:
    """Writes expressions of one function.

    Attributes:
        unit: What the function is a part of.
        source: The function.
        builder: LLVM's, at the place where code is added.
        arrays: Code for arrays at that place.
        values: Steady names.
        variables: Other names: their types, and where their parts are.
    """

    def __init__(self, unit: Unit, source: Definition, builder: Builder) -> None:
        self.unit, self.source, self.builder = unit, source, builder
        self.arrays = Arrays(builder, unit.checked)
        self.values: dict[str, Typed] = {}
        self.variables: dict[str, tuple[Type, list[Code]]] = {}

    def value(self, node: ast.expr) -> Typed:
        """Write an expression."""
        match node:
            case ast.Constant(value=None):
                return NONE
            case ast.Constant():
                return self._number(node.value)
            case ast.BinOp():
                return operate(self.builder, node.op, self.value(node.left), self.value(node.right))
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(number))) if not isinstance(number, bool):
                return self._number(-number)  # the lowest integer has no positive twin
            case ast.UnaryOp():
                return negate(self.builder, node.op, self.value(node.operand))
            case ast.Compare():
                return self._comparison(node)
            case ast.BoolOp():
                return self._both_or_either(node, self._sure_flag)
            case ast.IfExp():
                return self._either(
                    self.flag(node.test), lambda: self.value(node.body), lambda: self.value(node.orelse)
                )
            case ast.Tuple():
                return group(tuple, [self.value(part) for part in node.elts])
        return self._named(node)

    def _named(self, node: ast.expr) -> Typed:
        match node:
            case ast.Name():
                return self._name(node.id)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript():
                return self._item(self.value(node.value), node.slice)
            case ast.Call():
                return self._call(node)
        raise TypeError(f"kernels know no {type(node).__name__}")

    def flag(self, node: ast.expr) -> Typed:
        """Write a condition; what is not 0 is true."""
        if isinstance(node, ast.BoolOp):
            return self._both_or_either(node, self.flag)
        return cast(self.builder, self.value(node), FLAG_TYPE)

    def _sure_flag(self, node: ast.expr) -> Typed:
        """Write an operand of ``and`` or ``or`` whose value is used: Python's would be the operand itself."""
        found = self.value(node)
        if found.type != FLAG_TYPE:
            raise TypeError("outside of conditions kernels know 'and' and 'or' of flags only")
        return found

    def block(self, name: str) -> Code:
        """A new block of instructions."""
        return self.builder.append_basic_block(name)

    def indices(self, node: ast.expr) -> list[Typed | Cut]:
        """Write what stands in brackets."""
        parts = node.elts if isinstance(node, ast.Tuple) else [node]
        return [self._cut(part) if isinstance(part, ast.Slice) else self.value(part) for part in parts]

    def _cut(self, node: ast.Slice) -> Cut:
        if node.step is not None:
            raise TypeError("slices have no steps")
        start = None if node.lower is None else self.value(node.lower)
        return Cut(start, None if node.upper is None else self.value(node.upper))

    def _number(self, value: object) -> Typed:
        found = constant(value)
        if found is None:
            raise TypeError(f"kernels know no {type(value).__name__}")
        return found

    def _name(self, name: str) -> Typed:
        if name in self.values:
            return self.values[name]
        if name in self.variables:
            kind, places = self.variables[name]
            return Typed(kind, tuple(self.builder.load(place) for place in places))
        self._require_global(name)
        return self._number(self.source.look_up(name))

    def _require_global(self, name: str) -> None:
        if name in self.source.own:
            raise TypeError(f"{name} has no value yet")

    def _comparison(self, node: ast.Compare) -> Typed:
        left, result = self.value(node.left), None
        if any(isinstance(part, READS) for other in node.comparators[1:] for part in ast.walk(other)):
            raise TypeError("all operands of a chain of comparisons are calculated, so the third reads no array")
        for operator, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            if isinstance(operator, (ast.Is, ast.IsNot)):
                if right != NONE:
                    raise TypeError("kernels ask only whether something is None")
                same = isinstance(left.type, Nothing) == isinstance(right.type, Nothing)
                found = Typed(FLAG_TYPE, (FLAG(int(same == isinstance(operator, ast.Is))),))
            else:
                found = compare(self.builder, operator, left, right)
            result = found if result is None else operate(self.builder, ast.BitAnd(), result, found)
            left = right
        return result or NONE

    def _both_or_either(self, node: ast.BoolOp, write: Callable[[ast.expr], Typed]) -> Typed:
        """``and`` and ``or``: the operands after the first only where they decide."""
        first, *rest = node.values
        if not rest:
            return write(first)
        flag, other = write(first), ast.BoolOp(node.op, rest)
        if isinstance(node.op, ast.And):
            return self._either(flag, lambda: self._both_or_either(other, write), lambda: self._number(False))
        return self._either(flag, lambda: self._number(True), lambda: self._both_or_either(other, write))

    def _either(self, flag: Typed, then: Callable[[], Typed], otherwise: Callable[[], Typed]) -> Typed:
        """One of two values; the other is not even calculated."""
        b = self.builder
        if known(flag) is not None:
            return then() if known(flag) else otherwise()
        blocks = [self.block(name) for name in ("then", "else")]
        b.cbranch(flag.code, *blocks)
        results, ends = [], []
        for block, write in zip(blocks, (then, otherwise), strict=True):
            b.position_at_end(block)
            results.append(write())
            ends.append(b.block)
        common, done = join(results[0].type, results[1].type), self.block("either")
        casts = []
        for result, end in zip(results, ends, strict=True):
            b.position_at_end(end)
            casts.append(cast(b, result, common))
            b.branch(done)
        b.position_at_end(done)
        parts = []
        for number, kind in enumerate(common.code):
            phi = b.phi(kind)
            for result, end in zip(casts, ends, strict=True):
                phi.add_incoming(result.parts[number], end)
            parts.append(phi)
        return Typed(common, tuple(parts))

    def _attribute(self, node: ast.Attribute) -> Typed:
        thing = self.thing(node)
        if thing is not None:
            return self._number(thing)
        value = self.value(node.value)
        if isinstance(value.type, Group):
            fields: Sequence[str] = getattr(value.type.kind, "_fields", ())
            if node.attr in fields:
                return split(value)[fields.index(node.attr)]
        if isinstance(value.type, Array) and node.attr == "size":
            return self.arrays.size(value)
        if isinstance(value.type, Array) and node.attr == "shape":
            return group(tuple, [Typed(WORD, (length,)) for length in value.parts[1 : 1 + value.type.axes]])
        raise TypeError(f"{value.type} has no {node.attr}")

    def _item(self, value: Typed, node: ast.expr) -> Typed:
        if isinstance(value.type, Record) and isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self.arrays.field(value, node.value)
        indices = self.indices(node)
        if isinstance(value.type, Group):
            number = known(indices[0]) if isinstance(indices[0], Typed) else None
            if number is None:
                raise TypeError("an index of a tuple is a constant")
            return split(value)[number]
        return self.arrays.item(value, indices)

    def thing(self, node: ast.expr) -> Any:
        """What a name stands for that is no value: a function, a class, a module."""
        if isinstance(node, ast.Name) and node.id not in self.values and node.id not in self.variables:
            self._require_global(node.id)
            return self.source.look_up(node.id)
        if isinstance(node, ast.Attribute):
            module = self.thing(node.value)
            return getattr(module, node.attr) if isinstance(module, ModuleType) else None
        return None

    def _call(self, node: ast.Call) -> Typed:
        if node.keywords:
            raise TypeError("kernels give no arguments by their names")
        if isinstance(node.func, ast.Attribute) and node.func.attr == "view" and self.thing(node.func.value) is None:
            return self.arrays.seen_as(self.value(node.func.value), number_of(self.thing(node.args[0])))
        thing = self.thing(node.func)
        arguments = [self.value(argument) for argument in node.args]
        if hasattr(thing, MARK):
            return self.unit.call(self.builder, thing, arguments)
        if hasattr(thing, INTRINSIC):
            return self._intrinsic(thing, arguments)
        if isinstance(thing, type) and hasattr(thing, "_fields"):
            if len(arguments) != len(thing._fields):
                raise TypeError(f"{thing.__name__} has {len(thing._fields)} fields, not {len(arguments)}")
            return group(thing, arguments)
        return self._builtin(thing, arguments)

    def _builtin(self, thing: Any, arguments: list[Typed]) -> Typed:
        b, (first, *others) = self.builder, arguments
        if others and thing not in (min, max):
            raise TypeError(f"kernels call {thing} with one argument")
        if thing in (int, bool, float):
            return cast(b, first, {int: WORD, bool: FLAG_TYPE, float: FLOAT}[thing])
        if isinstance(thing, type) and issubclass(thing, np.generic):
            return cast(b, first, number_of(thing))
        if thing in (min, max):
            return extreme(b, "<" if thing is min else ">", arguments)
        if thing is abs:
            return magnitude(b, first)
        if thing is np.floor:
            floor = declare(b, "llvm.floor.f64", FLOAT.code[0], [FLOAT.code[0]])
            return Typed(FLOAT, (b.call(floor, [cast(b, first, FLOAT).code]),))
        raise TypeError(f"kernels cannot call {thing}")

    def _intrinsic(self, function: Callable[..., Any], arguments: Sequence[Typed]) -> Typed:
        found = function(self.builder, *[self._operand(argument) for argument in arguments])
        if found is None or isinstance(found, Typed):
            return found or NONE
        if found.type not in (LONG, FLAG):
            raise TypeError(f"{function.__name__} returns a {found.type}")
        return Typed(WORD if found.type == LONG else FLAG_TYPE, (found,))

    def _operand(self, argument: Typed) -> object:
        if isinstance(argument.type, Array):
            return Memory(self.builder, argument)
        if isinstance(argument.type, (Group, Nothing)):
            return argument
        return argument.code if argument.type in (FLAG_TYPE, FLOAT) else self.arrays.word(argument)
