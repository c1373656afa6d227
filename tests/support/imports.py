"""Which module imports which, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("toolchain/hsnn", "models/hsnn_models", "targets/hsnn_targets")


def module_files():
    """Return the file of each module of the three packages, by the module's name."""
    found = {}
    for package in PACKAGES:
        folder = ROOT / package
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports_between(files):
    """Return, by module, which of ``files`` it imports when it runs, at once or later; types alone do not count."""
    graph = {}
    for module, file in files.items():
        named = (name for node in _run(ast.parse(file.read_text(encoding="utf-8"))) for name in _names(node, files))
        graph[module] = {name for name in named if name in files and name != module}
    return graph


def circles(graph):
    """Return every set of nodes that reach each other; by the definition, not by a clever algorithm."""
    reached = {node: _reached(graph, node) for node in graph}
    sets = {frozenset(other for other in reached[node] if node in reached[other]) for node in graph}
    return sets - {frozenset()}


def _reached(graph, start):
    seen, rest = set(), list(graph[start])
    while rest:
        node = rest.pop()
        if node not in seen:
            seen.add(node)
            rest.extend(graph[node])
    return seen


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs: no branch of ``if TYPE_CHECKING``."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        for child in node.orelse:
            yield from _run(child)
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _run(child)


def _names(node, files):
    """Names of the modules that a node imports; ``import_module`` counts where its argument is written out."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in files else node.module
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "import_module":
        yield from (text.value for text in node.args[:1] if isinstance(text, ast.Constant))
