"""The tensors that a module holds outside its parameters: find them, tell what a call wrote, overwrite them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_DEPTH = 6
_REGISTRIES = {"_parameters", "_modules"}


@dataclass(frozen=True, slots=True, order=True)
class Held:
    """A tensor that a module holds outside its parameters.

    Attributes:
        module: Path of the module.
        attribute: Attribute, with keys and indices where it lies in a container.
    """

    module: str
    attribute: str


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What a module held at one moment.

    Attributes:
        tensors: The tensors themselves, kept so that their identity means something later.
        versions: How often each had been written in place.
    """

    tensors: Mapping[Held, Tensor]
    versions: Mapping[Held, int]


def held_tensors(module: nn.Module) -> dict[Held, Tensor]:
    """Return every tensor reachable from the attributes of every submodule, parameters excepted."""
    found: dict[Held, Tensor] = {}
    seen: set[int] = set()
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if name in _REGISTRIES:
                continue
            prefix = "" if name == "_buffers" else name
            for attribute, tensor in tensors_in(value, prefix, seen):
                found.setdefault(Held(path, attribute), tensor)
    return found


def tensors_in(value: Any, path: str = "", seen: set[int] | None = None) -> list[tuple[str, Tensor]]:
    """Return the tensors in containers and plain objects, each with its place, parameters excepted."""
    return list(_tensors(value, path, set() if seen is None else seen, _DEPTH))


def snapshot(module: nn.Module) -> Snapshot:
    """Remember what a module holds."""
    tensors = held_tensors(module)
    return Snapshot(tensors, {held: tensor._version for held, tensor in tensors.items()})


def written(module: nn.Module, before: Snapshot) -> dict[Held, Tensor]:
    """Return what was made, replaced or changed in place since."""
    return {
        held: tensor
        for held, tensor in held_tensors(module).items()
        if before.tensors.get(held) is not tensor or before.versions[held] != tensor._version
    }


def overwrite(module: nn.Module, tensors: Mapping[Held, Tensor]) -> None:
    """Fill tensors with other values, in place.

    Those that share memory with a parameter or with a tensor that is not among them are left: they are
    names for something that the module does not change.
    """
    others = (tensor for held, tensor in held_tensors(module).items() if held not in tensors)
    kept = {_storage(tensor) for tensor in (*module.parameters(), *others)}
    for tensor in tensors.values():
        if _storage(tensor) not in kept:
            with torch.no_grad():
                tensor.copy_(_other_values(tensor))


def aliases(tensors: Mapping[Held, Tensor]) -> dict[Held, set[Held]]:
    """Return, for each tensor, all that share its memory, itself included."""
    groups: dict[int, set[Held]] = {}
    for held, tensor in tensors.items():
        groups.setdefault(_storage(tensor), set()).add(held)
    return {held: group for group in groups.values() for held in group}


def equal(a: Tensor, b: Tensor) -> bool:
    """Tell whether two tensors are the same to the bit; NaN equals NaN."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return bool(((a == b) | (a.isnan() & b.isnan())).all())


def all_equal(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> bool:
    """Tell whether two tuples hold the same tensors."""
    return len(first) == len(second) and all(equal(a, b) for a, b in zip(first, second, strict=True))


def _tensors(value: Any, path: str, seen: set[int], depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        if not isinstance(value, nn.Parameter):
            yield path, value
        return
    if depth == 0 or isinstance(value, nn.Module | type) or id(value) in seen:
        return
    for name, item in _items(value):
        seen.add(id(value))
        yield from _tensors(item, f"{path}{name}" if path else name.strip("[].'"), seen, depth - 1)


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif hasattr(value, "__dict__") and not callable(value):
        yield from ((f".{name}", item) for name, item in vars(value).items())


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _other_values(tensor: Tensor) -> Tensor:
    if tensor.dtype == torch.bool:
        return ~tensor
    if tensor.is_floating_point() or tensor.is_complex():
        return torch.randn_like(tensor) * 10
    return tensor + 1
