"""Modules do not import each other in circles, not even inside of functions."""

from __future__ import annotations

from support.imports import circles, imports_between, module_files

KNOWN = {
    # `program.save(path)` is how users write an artifact, and an artifact is read back as a Program.
    "hsnn.program": "hsnn.artifact",
    # A kernel fetches its machine code when it is called first; whoever keeps that asks when kernels were imported.
    "hsnn_targets.emulator.kernel": "hsnn_targets.emulator.object_store",
}
"""Imports inside of functions that close a circle, with the reason; without them there is none."""


def test_modules_import_each_other_in_no_circle_but_the_known():
    graph = imports_between(module_files())
    assert len(graph) > 300
    for module, imported in KNOWN.items():
        assert any(module in circle and imported in circle for circle in circles(graph)), f"{module}: no longer one"
    for module, imported in KNOWN.items():
        graph[module].remove(imported)
    assert [sorted(circle) for circle in circles(graph)] == []


def test_circles_are_found(tmp_path):
    sources = {
        "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import d\nimport b",
        "b": "def later():\n    from c import x",
        "c": "import a",
        "d": "import a",
        "e": "import importlib\nimportlib.import_module('f')",
        "f": "from importlib import import_module\nimport_module('e')\nimport_module(some_name)",
    }
    files = {name: tmp_path / f"{name}.py" for name in sources}
    for name, source in sources.items():
        files[name].write_text(source, encoding="utf-8")
    assert circles(imports_between(files)) == {frozenset("abc"), frozenset("ef")}
