"""What machine code of a kernel is made from: its module, and all modules of hsnn that this one imports."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("hsnn", "hsnn_targets")


def sources_of(*modules: str) -> tuple[str, ...]:
    """Find files of modules and of what they import, directly or not, in alphabetical order.

    Imports within functions count; those for types alone do not, nor do packages that are only passed through.
    """
    files: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        file = None if name in files else _file(name)
        if file is not None:
            files[name] = file
            waiting += _imports(ast.parse(Path(file).read_text(encoding="utf-8")))
    return tuple(sorted(files.values()))


def digest(files: Sequence[str]) -> str:
    """Digest what files contain.

    Raises:
        OSError: If one cannot be read.
    """
    found = hashlib.sha256()
    for file in files:
        found.update(hashlib.sha256(Path(file).read_bytes()).digest())
    return found.hexdigest()


@cache
def _file(module: str) -> str | None:
    """File of a module, or None for what is no module; imports nothing."""
    top, *rest = module.split(".")
    spec = find_spec(top)
    folders = () if spec is None else tuple(spec.submodule_search_locations or ())
    places = (Path(folder, *rest) for folder in folders)
    found = (file for place in places for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())
    return next((str(file) for file in found), None)


def _imports(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            names = [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom) and child.module:
            names = [f"{child.module}.{alias.name}" for alias in child.names]
            if not all(_is_module(name) for name in names if _is_own(name)):
                names.append(child.module)
        else:
            names = []
            yield from _imports(child)
        yield from (name for name in names if _is_own(name) and _is_module(name))


def _is_own(name: str) -> bool:
    return name.split(".")[0] in PACKAGES


def _is_module(name: str) -> bool:
    return _file(name) is not None
