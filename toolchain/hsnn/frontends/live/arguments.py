"""The arguments of a traced operator, however tuples, lists and dicts nest them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def flat(item: Any) -> list[Any]:
    """Return what is nested in an argument, one after the other."""
    if isinstance(item, dict):
        return flat(list(item.values()))
    return [part for inner in item for part in flat(inner)] if isinstance(item, list | tuple) else [item]


def mapped(item: Any, function: Callable[[Any], Any]) -> Any:
    """Return an argument with everything nested in it mapped, and the nesting as it was."""
    if isinstance(item, dict):
        return {key: mapped(part, function) for key, part in item.items()}
    if isinstance(item, list | tuple):
        return type(item)(mapped(part, function) for part in item)
    return function(item)
