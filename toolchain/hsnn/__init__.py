"""hsnn: compile hybrid ANN-SNN networks for a host and Loihi 2.

Names are imported when they are first used, so that ``import hsnn`` costs nothing: running an
artifact needs no torch, and reading one needs no target.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hsnn import nn
    from hsnn.artifact import load
    from hsnn.compiler import compile
    from hsnn.errors import HsnnError
    from hsnn.feasibility import check
    from hsnn.frontends.live import register_neuron
    from hsnn.program import Program
    from hsnn.runtime.session import Session

__all__ = ["HsnnError", "Program", "Session", "__version__", "check", "compile", "load", "nn", "register_neuron"]

__version__: str

_HOMES = {
    "HsnnError": "hsnn.errors",
    "Program": "hsnn.program",
    "Session": "hsnn.runtime.session",
    "check": "hsnn.feasibility",
    "compile": "hsnn.compiler",
    "load": "hsnn.artifact",
    "register_neuron": "hsnn.frontends.live",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("hsnn")
    if name not in _HOMES and name != "nn":
        raise AttributeError(f"module 'hsnn' has no attribute {name!r}")
    from hsnn.libraries import named_if_missing

    with named_if_missing():
        value = import_module("hsnn.nn") if name == "nn" else getattr(import_module(_HOMES[name]), name)
    # Found at once the next time.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
