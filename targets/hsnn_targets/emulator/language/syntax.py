"""Functions of Python as syntax trees."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Definition:
    """A function that kernels call.

    Attributes:
        function: The function.
        tree: Its definition.
        steady: Names that get a value at one place, and are only used where this place is sure to be passed before.
        own: Names that get a value in it, which hide those of its module.
    """

    function: Callable[..., Any]
    tree: ast.FunctionDef
    steady: frozenset[str]
    own: frozenset[str]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of its arguments."""
        return tuple(argument.arg for argument in self.tree.args.args)

    @property
    def place(self) -> str:
        """File of the function."""
        return self.function.__code__.co_filename

    def look_up(self, name: str) -> object:
        """What a name of its module means.

        Raises:
            TypeError: If it means nothing.
        """
        names: Mapping[str, object] = self.function.__globals__
        if name in names:
            return names[name]
        builtins = vars(sys.modules["builtins"])
        if name in builtins:
            return builtins[name]
        raise TypeError(f"{name} has no value")


@cache
def definition(function: Callable[..., Any]) -> Definition:
    """Find the definition of a function in its file."""
    code = function.__code__
    for tree in ast.walk(_module(code.co_filename, Path(code.co_filename).stat().st_mtime_ns)):
        if isinstance(tree, ast.FunctionDef) and tree.name == function.__name__ and _first(tree) == code.co_firstlineno:
            _require_plain(function, tree)
            own = {node.id for node in _names(tree.body) if isinstance(node.ctx, ast.Store)}
            own.update(node.arg for node in tree.args.args)
            return Definition(function, tree, frozenset(_steady(tree)), frozenset(own))
    raise TypeError(f"{function.__name__} is not defined in {code.co_filename}")


@cache
def _module(file: str, changed: int) -> ast.Module:
    """A file as a syntax tree; it may have been read before, unless it has ``changed``."""
    return ast.parse(Path(file).read_text(encoding="utf-8"), file)


def _require_plain(function: Callable[..., Any], tree: ast.FunctionDef) -> None:
    """Refuse what would be passed over in silence."""
    given, code = tree.args, function.__code__
    if code.co_freevars:
        raise TypeError(f"{function.__name__} uses {', '.join(code.co_freevars)} of the function around it")
    if given.posonlyargs or given.vararg or given.kwonlyargs or given.kwarg or given.defaults:
        raise TypeError(f"{function.__name__} has arguments that are no plain names")


def _first(tree: ast.FunctionDef) -> int:
    return min([tree.lineno, *(decorator.lineno for decorator in tree.decorator_list)])


def _steady(tree: ast.FunctionDef) -> Iterator[str]:
    stored = Counter(node.id for node in _names(tree.body) if isinstance(node.ctx, ast.Store))
    stored.update(node.arg for node in tree.args.args)
    everywhere = Counter(node.id for node in _names(tree.body))
    for argument in tree.args.args:
        if stored[argument.arg] == 1:
            yield argument.arg
    for block in _blocks(tree):
        here = Counter(node.id for node in _names(block))
        for name in _stored_by(block):
            if stored[name] == 1 and here[name] == everywhere[name]:
                yield name


def _names(block: Sequence[ast.stmt]) -> Iterator[ast.Name]:
    return (node for statement in block for node in ast.walk(statement) if isinstance(node, ast.Name))


def _blocks(tree: ast.AST) -> Iterator[Sequence[ast.stmt]]:
    """All lists of statements, those of a loop over a range with the loop's variable."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For):
            yield [ast.Assign([node.target], ast.Constant(None)), *node.body]
        elif isinstance(node, (ast.FunctionDef, ast.While, ast.If)):
            yield node.body
        if isinstance(node, ast.If) and node.orelse:
            yield node.orelse


def _stored_by(block: Sequence[ast.stmt]) -> Iterator[str]:
    """Names that a list of statements gives a value without any condition."""
    for statement in block:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                parts = target.elts if isinstance(target, ast.Tuple) else [target]
                yield from (part.id for part in parts if isinstance(part, ast.Name))
