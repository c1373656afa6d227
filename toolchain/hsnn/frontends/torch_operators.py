"""What torch knows of turning its operators into ONNX, gathered once a process.

``torch.onnx.export`` gathers it for every model anew: it reads the sources of hundreds of functions, which takes as
long as all the rest of exporting a small model (torch 2.13, ``torch/onnx/_internal/exporter/_registration.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import RLock
from typing import Any

_EXPORTING = RLock()
_GATHER = "from_torchlib"


@contextmanager
def known_operators() -> Iterator[None]:
    """While this lasts, exports take what was gathered before; where torch does it another way, nothing changes."""
    registry = _registry()
    if registry is None:
        yield
        return
    with _EXPORTING:
        before, gather = vars(registry)[_GATHER], getattr(registry, _GATHER)

        def copied(*arguments: Any, **options: Any) -> Any:
            """A copy for each export: it might add to it."""
            found, copy = _gathered(gather, arguments, tuple(options.items())), registry()
            vars(copy).update(vars(found))
            copy.functions = {name: list(ways) for name, ways in found.functions.items()}
            return copy

        setattr(registry, _GATHER, staticmethod(copied))
        try:
            yield
        finally:
            setattr(registry, _GATHER, before)


def _registry() -> Any:
    """The class of torch's that gathers, if it is as it was."""
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry
    except ImportError:
        return None
    return ONNXRegistry if _GATHER in vars(ONNXRegistry) else None


@cache
def _gathered(gather: Any, arguments: tuple[Any, ...], options: tuple[tuple[str, Any], ...]) -> Any:
    return gather(*arguments, **dict(options))
