"""Functions of the language: each is written once for the types of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.jit import MARK
from hsnn_targets.emulator.language.statements import Statements, WiderError, result_of
from hsnn_targets.emulator.language.syntax import definition
from hsnn_targets.emulator.language.types import NONE, Code, Nothing, Type, Typed
from hsnn_targets.emulator.lowering import CHECKED, Builder


@dataclass(slots=True)
class Unit:
    """A module of LLVM's and the functions in it.

    Attributes:
        checked: Whether code looks at every index.
        module: The module.
    """

    checked: bool = False
    module: Any = field(init=False)
    _written: dict[tuple[Callable[..., Any], tuple[Type, ...]], tuple[Code, Type]] = field(default_factory=dict)
    _begun: set[tuple[Callable[..., Any], tuple[Type, ...]]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.module = ir.Module(CHECKED if self.checked else "kernel")

    def call(self, builder: Builder, function: Callable[..., Any], arguments: Sequence[Typed]) -> Typed:
        """Call a function, which is written where it is called with such types for the first time."""
        types = tuple(argument.type for argument in arguments)
        if (function, types) not in self._written:
            if (function, types) in self._begun:
                raise TypeError(f"{function.__name__} calls itself")
            self._begun.add((function, types))
            self._written[function, types] = self._write(function, types)
        code, result = self._written[function, types]
        found = builder.call(code, [part for argument in arguments for part in argument.parts])
        return NONE if isinstance(result, Nothing) else Typed(result, (found,))

    def _write(self, function: Callable[..., Any], types: tuple[Type, ...]) -> tuple[Code, Type]:
        source = definition(function)
        if len(types) != len(source.parameters):
            raise TypeError(f"{function.__name__} takes {len(source.parameters)} arguments, not {len(types)}")
        result, wider = result_of(source), dict[str, Type]()
        codes = [code for kind in types for code in kind.code]
        while True:
            kind = ir.FunctionType(ir.VoidType() if isinstance(result, Nothing) else result.code[0], codes)
            code = ir.Function(self.module, kind, self.module.get_unique_name(function.__name__))
            code.linkage = "internal"
            code.attributes.add("nounwind")
            if getattr(function, MARK):
                code.attributes.add("alwaysinline")
            entry, start = code.append_basic_block("entry"), code.append_basic_block("start")
            writer = Statements(self, source, ir.IRBuilder(start), result, wider)
            try:
                at = 0
                for name, type_ in zip(source.parameters, types, strict=True):
                    count = len(type_.code)
                    writer.assign(name, Typed(type_, tuple(code.args[at : at + count])))
                    at += count
                writer.write(source.tree.body)
                writer.finish()
            except WiderError as error:
                wider[error.name] = error.kind
                del self.module.globals[code.name]
                continue
            ir.IRBuilder(entry).branch(start)
            return code, result
