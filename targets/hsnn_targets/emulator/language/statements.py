"""Statements of the language."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.language.expressions import Expressions
from hsnn_targets.emulator.language.numbers import cast, join, operate
from hsnn_targets.emulator.language.syntax import Definition
from hsnn_targets.emulator.language.types import (
    FLAG_TYPE,
    FLOAT,
    NONE,
    WORD,
    Array,
    Code,
    Nothing,
    Type,
    Typed,
    known,
    number_of,
    split,
)
from hsnn_targets.emulator.lowering import LONG, Builder

if TYPE_CHECKING:
    from hsnn_targets.emulator.language.functions import Unit


class WiderError(Exception):
    """A name holds a value of a wider type than was known before, so its function is written again."""

    def __init__(self, name: str, kind: Type) -> None:
        super().__init__(name)
        self.name, self.kind = name, kind


class Statements(Expressions):
    """Writes the statements of one function."""

    def __init__(
        self, unit: Unit, source: Definition, builder: Builder, result: Type, wider: Mapping[str, Type]
    ) -> None:
        super().__init__(unit, source, builder)
        self._result, self._wider = result, wider
        self._loops: list[tuple[Code, Code]] = []

    def write(self, body: Sequence[ast.stmt]) -> None:
        """Write statements one after the other; nothing follows where one of them leaves."""
        for statement in body:
            if self.builder.block.is_terminated:
                return
            try:
                self._statement(statement)
            except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
                if "\n" in str(error):
                    raise
                place = f"{self.source.place}, line {statement.lineno}"
                raise TypeError(f"{error}\n  {place}: {ast.unparse(statement).splitlines()[0]}") from error

    def finish(self) -> None:
        """End the function where it ends without ``return``."""
        if self.builder.block.is_terminated:
            return
        if isinstance(self._result, Nothing):
            self.builder.ret_void()
        else:
            raise TypeError(f"{self.source.tree.name} ends without a result")

    def assign(self, name: str, value: Typed) -> None:
        """Give a name a value."""
        if name in self.source.steady:
            self.values[name] = value
            return
        if name not in self.variables:
            kind = join(self._wider.get(name, value.type), value.type)
            with self.builder.goto_entry_block():
                places = [self.builder.alloca(code) for code in kind.code]
                for place in places:  # what is never given a value is 0, or an array of nothing
                    self.builder.store(ir.Constant(place.type.pointee, None), place)
                self.variables[name] = kind, places
        kind, places = self.variables[name]
        if value.type != kind and FLOAT in (value.type, kind):
            raise TypeError(f"{name} is a float here and an integer there")
        if join(kind, value.type) != kind:
            raise WiderError(name, join(kind, value.type))
        for place, part in zip(places, cast(self.builder, value, kind).parts, strict=True):
            self.builder.store(part, place)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                return
            case ast.Expr():
                self.value(node.value)
            case ast.Assign():
                self._assignment(node)
            case ast.AugAssign():
                self._change(node)
            case _:
                self._branch(node)

    def _branch(self, node: ast.stmt) -> None:
        match node:
            case ast.If():
                self._condition(node)
            case ast.While():
                self._while(node)
            case ast.For():
                self._for(node)
            case ast.Return():
                self._return(node)
            case ast.Continue():
                self.builder.branch(self._loops[-1][0])
            case ast.Break():
                self.builder.branch(self._loops[-1][1])
            case _:
                raise TypeError(f"kernels know no {type(node).__name__}")

    def _assignment(self, node: ast.Assign) -> None:
        target, *others = node.targets
        if others:
            raise TypeError("kernels assign to one name or element at a time")
        if isinstance(target, ast.Subscript):
            self._store(target, self.value(node.value))
            return
        value = self.value(node.value)
        parts = split(value) if isinstance(target, ast.Tuple) else [value]
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        for name, part in zip(names, parts, strict=True):
            if not isinstance(name, ast.Name):
                raise TypeError("kernels assign tuples to names only")
            self.assign(name.id, part)

    def _store(self, target: ast.Subscript, value: Typed) -> None:
        owner = self.value(target.value)
        view = self.arrays.view(owner, self.indices(target.slice))
        if not isinstance(view.type, Array):
            raise TypeError(f"kernels assign nothing to {owner.type}")
        if view.type.axes == 0:
            self.arrays.store(view.parts[0], view.type.element, value)
        else:
            self.arrays.fill(view, value)

    def _change(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            before = self.value(ast.Name(node.target.id, ast.Load()))
            self.assign(node.target.id, operate(self.builder, node.op, before, self.value(node.value)))
            return
        if not isinstance(node.target, ast.Subscript):
            raise TypeError("kernels change names and elements only")
        view = self.arrays.view(self.value(node.target.value), self.indices(node.target.slice))
        if not isinstance(view.type, Array) or view.type.axes:
            raise TypeError("kernels change one element at a time")
        place, kind = view.parts[0], view.type.element
        value = operate(self.builder, node.op, self.arrays.load(place, kind), self.value(node.value))
        self.arrays.store(place, kind, value)

    def _condition(self, node: ast.If) -> None:
        flag = self.flag(node.test)
        if known(flag) is not None:
            self.write(node.body if known(flag) else node.orelse)
            return
        then, done = self.block("if"), self.block("end")
        otherwise = self.block("else") if node.orelse else done
        self.builder.cbranch(flag.code, then, otherwise)
        for block, body in ((then, node.body), (otherwise, node.orelse)):
            if body:
                self.builder.position_at_end(block)
                self.write(body)
                self._go_on(done)
        self._follow(done)

    def _follow(self, block: Code) -> None:
        """Go on in a block; where nothing leads there, what follows is not written."""
        self.builder.position_at_end(block)
        if not any(block in other.terminator.operands for other in self.builder.function.blocks if other.is_terminated):
            self.builder.unreachable()

    def _while(self, node: ast.While) -> None:
        if node.orelse:
            raise TypeError("loops have no else")
        head = self.block("while")
        self.builder.branch(head)
        self.builder.position_at_end(head)
        flag = self.flag(node.test)
        body, done = self.block("do"), self.block("done")
        if known(flag):
            self.builder.branch(body)
        else:
            self.builder.cbranch(flag.code, body, done)
        self._loop(node.body, body, head, done)
        self._go_on(head)
        self._follow(done)

    def _for(self, node: ast.For) -> None:
        call = node.iter
        if not (isinstance(call, ast.Call) and self.thing(call.func) is range and isinstance(node.target, ast.Name)):
            raise TypeError("kernels go through ranges only")
        if node.orelse:
            raise TypeError("loops have no else")
        if call.keywords or len(call.args) not in (1, 2, 3):
            raise TypeError("a range has one to three numbers")
        given = [self.arrays.word(self.value(argument)) for argument in call.args]
        start, stop, step = {1: (LONG(0), *given, LONG(1)), 2: (*given, LONG(1)), 3: tuple(given)}[len(given)]
        down = isinstance(step, ir.Constant) and step.constant < 0
        if isinstance(step, ir.Constant) and step.constant == 0:
            raise TypeError("a step of 0")
        if not isinstance(step, ir.Constant):
            self.arrays.require_positive(step)
        b, before = self.builder, self.builder.block
        head, body, following, done = (self.block(name) for name in ("for", "do", "next", "done"))
        b.branch(head)
        b.position_at_end(head)
        count = b.phi(LONG)
        count.add_incoming(start, before)
        b.cbranch(b.icmp_signed(">" if down else "<", count, stop), body, done)
        b.position_at_end(body)
        self.assign(node.target.id, Typed(WORD, (count,)))
        self._loop(node.body, b.block, following, done)
        self._go_on(following)
        b.position_at_end(following)
        count.add_incoming(b.add(count, step, flags=("nsw",)), following)
        b.branch(head)
        b.position_at_end(done)

    def _loop(self, statements: Sequence[ast.stmt], body: Code, following: Code, done: Code) -> None:
        self._loops.append((following, done))
        self.builder.position_at_end(body)
        self.write(statements)
        self._loops.pop()

    def _go_on(self, block: Code) -> None:
        if not self.builder.block.is_terminated:
            self.builder.branch(block)

    def _return(self, node: ast.Return) -> None:
        value = NONE if node.value is None else self.value(node.value)
        if isinstance(self._result, Nothing):
            if value != NONE:
                raise TypeError(f"{self.source.tree.name} declares no type of its result")
            self.builder.ret_void()
        else:
            self.builder.ret(cast(self.builder, value, self._result).code)


def result_of(source: Definition) -> Type:
    """The type that a function declares for its result: a number or None."""
    node = source.tree.returns
    if node is None or isinstance(node, ast.Constant):
        return Nothing()
    name = ast.unparse(node).split(".")[-1]
    found = {"int": WORD, "bool": FLAG_TYPE}.get(name)
    return number_of(getattr(np, name)) if found is None else found
