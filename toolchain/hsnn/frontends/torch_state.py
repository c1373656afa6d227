"""Find what a module keeps from one call to the next, and what is random: neither can be exported.

An exporter that traces one call cannot see hidden state: the exported model would run, and be wrong from the
second call on. So the module is called three times, first and last on the same input with another one between.
Any tensor that it holds and that differs after those two calls remembers the past.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hsnn.errors import HsnnError, UnsupportedError, UsageError

_DEPTH = 6
_REGISTRIES = {"_parameters", "_modules"}


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor that a module holds outside its parameters.

    Attributes:
        module: Path of the module.
        attribute: Attribute, with keys and indices where it lies in a container.
    """

    module: str
    attribute: str


def inference_copy(module: nn.Module) -> nn.Module:
    """Return a copy in eval mode that shares the parameters and nothing else.

    Raises:
        UnsupportedError: ``HSNN-F018``, if the module cannot be copied.
    """
    memo: dict[int, Any] = {id(parameter): parameter for parameter in module.parameters()}
    for tensor in held_tensors(module).values():
        # deepcopy refuses tensors that are part of an autograd graph, such as a state after training.
        memo.setdefault(id(tensor), tensor.detach().clone())
    try:
        return copy.deepcopy(module, memo).eval()
    except (TypeError, RuntimeError, AttributeError) as error:
        raise UnsupportedError(
            "HSNN-F018",
            f"{type(module).__name__} cannot be copied: {error}",
            fix="keep locks, files and generators out of the module, or give it a __deepcopy__",
        ) from error


def held_tensors(module: nn.Module) -> dict[Held, Tensor]:
    """Return every tensor reachable from the attributes of every submodule, parameters excepted."""
    found: dict[Held, Tensor] = {}
    seen: set[int] = set()
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if name in _REGISTRIES:
                continue
            prefix = "" if name == "_buffers" else name
            for attribute, tensor in _tensors(value, prefix, seen, _DEPTH):
                found.setdefault(Held(path, attribute), tensor)
    return found


def call(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Call a module and return its tensors.

    Raises:
        UsageError: ``HSNN-F010``, naming the submodule whose forward failed.
    """
    try:
        outputs = module(*inputs)
    except Exception as error:
        where = failing_module(module, error)
        shapes = ", ".join(str(tuple(item.shape)) for item in inputs)
        cause = error.found if isinstance(error, HsnnError) else f"{type(error).__name__}: {first_line(error)}"
        raise UsageError(
            "HSNN-F010",
            f"the model failed on example inputs of shape {shapes}, in {where}: {cause}",
            allowed=error.allowed if isinstance(error, HsnnError) else "inputs that the model takes, batch axis first",
            fix="check --input-shape" if not isinstance(error, HsnnError) else error.fix,
        ) from error
    return tuple(tensor for _, tensor in _tensors(outputs, "output", set(), _DEPTH))


def check_stateless(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Check that a call depends on nothing but its inputs.

    Args:
        module: An :func:`inference_copy`; it is called, so its state changes.
        inputs: Example inputs.

    Raises:
        UnsupportedError: ``HSNN-F011``, if a module keeps state, naming every attribute; ``HSNN-F012``, if
            two calls differ without any.
        UsageError: See :func:`call`.
    """
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        first = _clones(call(module, inputs))
        state = {held: tensor.detach().clone() for held, tensor in held_tensors(module).items()}
        call(module, tuple(_other(item) for item in inputs))
        second = call(module, inputs)
        changed = _changed(state, held_tensors(module))
        if changed:
            raise _state_error(module, changed)
        if not _all_equal(first, second):
            where = _first_random(module, inputs)
            raise UnsupportedError(
                "HSNN-F012",
                f"two calls on the same input differ although the model is in eval mode: {where}",
                allowed="a model whose output depends on its inputs only",
                fix="make the noise part of the model with a fixed seed, such as hsnn.nn.PoissonEncode(seed=...)",
            )


def failing_module(module: nn.Module, error: BaseException) -> str:
    """Return the path and class of the innermost submodule in which an error was raised."""
    names = {id(part): path for path, part in module.named_modules()}
    found: nn.Module = module
    trace = error.__traceback__
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        if id(owner) in names and isinstance(owner, nn.Module):
            found = owner
        trace = trace.tb_next
    return described(names.get(id(found), ""), found)


def described(path: str, module: nn.Module) -> str:
    """Return a module's path and class for a message."""
    return f"{path!r} ({type(module).__name__})" if path else type(module).__name__


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else "no message"


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


def _other(x: Tensor) -> Tensor:
    """Return another valid input: random within about the same range, integers in another order."""
    if not x.is_floating_point():
        return x.flatten().flip(0).reshape(x.shape)
    low, high = x.min(), x.max() + 1
    return torch.rand_like(x) * (high - low) + low


def _clones(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(item.detach().clone() for item in tensors)


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and bool(torch.equal(a.nan_to_num(), b.nan_to_num()))


def _all_equal(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> bool:
    return len(first) == len(second) and all(_equal(a, b) for a, b in zip(first, second, strict=True))


def _changed(before: Mapping[Held, Tensor], after: Mapping[Held, Tensor]) -> list[Held]:
    both = {**before, **after}
    return [held for held in both if held not in before or held not in after or not _equal(before[held], after[held])]


def _state_error(module: nn.Module, changed: list[Held]) -> UnsupportedError:
    listed = sorted({(item.module, item.attribute) for item in changed})
    shown = ", ".join(
        f"{attribute!r} of {described(path, module.get_submodule(path))}" for path, attribute in listed[:8]
    )
    more = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
    return UnsupportedError(
        "HSNN-F011",
        f"the model keeps state from one call to the next: {shown}{more}",
        allowed="modules that start every call from the same state",
        fix="use hsnn.nn.Lif for the neurons, or reset the state at the start of forward",
    )


def _first_random(module: nn.Module, inputs: tuple[Tensor, ...]) -> str:
    runs: list[list[tuple[str, tuple[Tensor, ...]]]] = []
    for _ in range(2):
        calls: list[tuple[str, tuple[Tensor, ...]]] = []
        runs.append(calls)
        handles = [
            part.register_forward_hook(
                lambda part, _, output, path=path, calls=calls: calls.append(
                    (described(path, part), _clones(tuple(t for _, t in _tensors(output, "", set(), _DEPTH))))
                )
            )
            for path, part in module.named_modules()
        ]
        call(module, inputs)
        for handle in handles:
            handle.remove()
    pairs = zip(*runs, strict=False)
    return next((f"random in {a[0]}" for a, b in pairs if not _all_equal(a[1], b[1])), "the place is not known")
