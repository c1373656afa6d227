"""Find what a module keeps from one call to the next, and what is random: neither can be exported.

An exporter that traces one call cannot see hidden state: the exported model would run, and be wrong from the
second call on. So the module is called, everything that the call wrote into attributes is overwritten with other
values, and it is called again on the same input. A cache is written before it is read and makes no difference.
What does make a difference is state.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from hsnn.errors import HsnnError, UnsupportedError, UsageError
from hsnn.frontends.torch_held import (
    Held,
    aliases,
    all_equal,
    equal,
    held_tensors,
    overwrite,
    snapshot,
    tensors_in,
    written,
)

_SHOWN = 8
_REPEATS = 4
"""Further calls that show whether a model draws random numbers."""
_EXAMINED = 32
"""Attributes up to which each is examined on its own, at the cost of two calls."""


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
        return _copied(module, memo).eval()
    except (TypeError, RuntimeError, AttributeError) as error:
        raise UnsupportedError(
            "HSNN-F018",
            f"{type(module).__name__} cannot be copied: {error}",
            fix="keep locks, files and generators out of the module, or give it a __deepcopy__",
        ) from error


def _copied(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """Copy a module; where that fails, do without the ``__deepcopy__`` of its parts.

    That of sinabs builds a new layer and fails on one that holds another module.
    """
    try:
        return copy.deepcopy(module, dict(memo))
    except (TypeError, RuntimeError, AttributeError):
        own = [part for part in module.modules() if hasattr(type(part), "__deepcopy__")]
        if not own:
            raise
    for part in reversed(own):
        blank = type(part).__new__(type(part))
        memo[id(part)] = blank
        blank.__dict__.update(copy.deepcopy(part.__dict__, memo))
    return copy.deepcopy(module, memo)


def call(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Call a module on copies of the inputs and return copies of the tensors that it gives.

    Raises:
        UsageError: ``HSNN-F010``, naming the submodule whose forward failed.
    """
    try:
        outputs = module(*(item.clone() for item in inputs))
    except Exception as error:
        where = failing_module(module, error)
        shapes = ", ".join(str(tuple(item.shape)) for item in inputs)
        cause = error.found if isinstance(error, HsnnError) else f"{type(error).__name__}: {first_line(error)}"
        raise UsageError(
            "HSNN-F010",
            f"the model failed on example inputs of shape {shapes}, in {where}: {cause}",
            allowed=error.allowed if isinstance(error, HsnnError) else "inputs that the model takes, batch axis first",
            fix=error.fix if isinstance(error, HsnnError) else "check shape and dtype of the example inputs",
        ) from error
    return tuple(tensor.detach().clone() for _, tensor in tensors_in(outputs))


def check_stateless(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Check that a call depends on nothing but its inputs.

    Args:
        module: Any module; copies of it are called.
        inputs: Example inputs.

    Raises:
        UnsupportedError: ``HSNN-F011``, if a module keeps state, naming every attribute; ``HSNN-F012``, if
            something is random although the module is in eval mode.
        UsageError: See :func:`call`.
    """
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        tried, fresh = inference_copy(module), inference_copy(module)
        before = snapshot(tried)
        first = call(tried, inputs)
        if not all_equal(first, call(fresh, inputs)):
            raise _random_error(module, inputs)
        kept = written(tried, before)
        after_first = {held: tensor.clone() for held, tensor in kept.items()}
        call(tried, tuple(_other_input(item) for item in inputs))
        overwrite(tried, {**kept, **written(tried, before)})
        second = call(tried, inputs)
        after_second = written(tried, before)
        changed = [
            held
            for held in {**after_first, **after_second}
            if held not in after_first or held not in after_second or not equal(after_first[held], after_second[held])
        ]
        if not changed and any(not all_equal(first, call(inference_copy(module), inputs)) for _ in range(_REPEATS)):
            raise _random_error(module, inputs)  # By chance its first two calls were alike.
        if changed or not all_equal(first, second):
            raise _state_error(module, _culprits(module, inputs, changed))


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


def _other_input(x: Tensor) -> Tensor:
    """Return another valid input: random within about the same range, integers in another order."""
    if not x.is_floating_point():
        return x.flatten().flip(0).reshape(x.shape)
    low, high = x.min(), x.max() + 1
    return torch.rand_like(x) * (high - low) + low


def _culprits(module: nn.Module, inputs: tuple[Tensor, ...], changed: list[Held]) -> list[Held]:
    """Return the attributes that make a difference on their own, not those that merely show one."""
    if len(changed) > _EXAMINED:
        return sorted(changed)
    plain = _Examined(module, inputs, None)
    culprits: list[Held] = []
    named: set[Held] = set()
    for held in sorted(changed):
        if held not in named and _Examined(module, inputs, held).differs(plain):
            culprits.append(held)
            named |= plain.same_memory(held)
    return culprits or sorted(changed)


class _Examined:
    """A copy of a module after two calls, with one attribute overwritten in between."""

    def __init__(self, module: nn.Module, inputs: tuple[Tensor, ...], between: Held | None) -> None:
        tried = inference_copy(module)
        call(tried, inputs)
        held = held_tensors(tried)
        self._aliases = aliases(held)
        overwrite(tried, {name: held[name] for name in self.same_memory(between) if name in held})
        self._outputs = call(tried, inputs)
        self._state = {name: tensor.clone() for name, tensor in held_tensors(tried).items()}

    def same_memory(self, held: Held | None) -> set[Held]:
        return set() if held is None else self._aliases.get(held, {held})

    def differs(self, other: _Examined) -> bool:
        return (
            self._state.keys() != other._state.keys()
            or not all(equal(self._state[key], other._state[key]) for key in self._state)
            or not all_equal(self._outputs, other._outputs)
        )


def _state_error(module: nn.Module, culprits: list[Held]) -> UnsupportedError:
    shown = ", ".join(
        f"{item.attribute!r} of {described(item.module, module.get_submodule(item.module))}"
        for item in culprits[:_SHOWN]
    )
    more = f" and {len(culprits) - _SHOWN} more" if len(culprits) > _SHOWN else ""
    return UnsupportedError(
        "HSNN-F011",
        f"the model keeps state from one call to the next: {shown or 'in something that is no tensor'}{more}",
        allowed="modules that start every call from the same state",
        fix="use hsnn.nn.Lif for the neurons, or reset the state at the start of forward",
    )


def _random_error(module: nn.Module, inputs: tuple[Tensor, ...]) -> UnsupportedError:
    first, second = _calls(module, inputs), _calls(module, inputs)
    place = next((a[0] for a, b in zip(first, second, strict=False) if not all_equal(a[1], b[1])), "the model")
    return UnsupportedError(
        "HSNN-F012",
        f"two calls on the same input differ in eval mode: {place} is random",
        allowed="a model whose output depends on its inputs only",
        fix="make the noise part of the model with a fixed seed, such as hsnn.nn.PoissonEncode(seed=...)",
    )


def _calls(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[tuple[str, tuple[Tensor, ...]]]:
    """Return what each submodule gave, in the order in which they finished: inner ones first."""
    tried = inference_copy(module)
    calls: list[tuple[str, tuple[Tensor, ...]]] = []
    for path, part in tried.named_modules():
        part.register_forward_hook(
            lambda part, _, output, path=path: calls.append(
                (described(path, part), tuple(tensor.clone() for _, tensor in tensors_in(output)))
            )
        )
    call(tried, inputs)
    return calls
