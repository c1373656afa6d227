"""A model that is being built from a traced one: a list of steps, and the module that runs them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hsnn.nn.symbolic import OpLayer


@dataclass(frozen=True, slots=True)
class Ref:
    """The result of a step, or an input."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step.

    Attributes:
        name: Name of its result.
        target: Function, or the path of a weight or of a layer.
        args, kwargs: Arguments with references in place of results; empty for a weight.
        scope: Path of the user's module that this is part of.
        is_layer: Whether ``target`` is a layer; a string otherwise is a weight.
    """

    name: str
    target: Callable[..., Any] | str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    scope: str = ""
    is_layer: bool = False


class Program:
    """Collects steps.

    Args:
        inputs: Names of the inputs.
    """

    def __init__(self, inputs: tuple[str, ...]) -> None:
        self._inputs = inputs
        self._steps: list[Step] = []
        self._weights: dict[str, Tensor] = {}
        self._layers: dict[str, OpLayer] = {}

    def function(self, target: Callable[..., Any], *args: Any, scope: str = "", **kwargs: Any) -> Ref:
        """Add a call of a function."""
        return self._add(target, args, kwargs, scope=scope)

    def weight(self, path: str, tensor: Tensor) -> Ref:
        """Add a weight; a parameter stays the user's own."""
        self._weights[path] = tensor
        return self._add(path)

    def layer(self, path: str, layer: OpLayer, x: Ref) -> Ref:
        """Add a call of a layer."""
        self._layers[path] = layer
        return self._add(path, (x,), is_layer=True)

    def module(self, outputs: Any) -> Rolled:
        """Return the module that computes ``outputs``, without what they do not need."""
        needed = {ref.name for ref in refs(outputs)}
        kept: list[Step] = []
        for step in reversed(self._steps):
            if step.name in needed:
                kept.append(step)
                needed |= {ref.name for ref in refs((step.args, dict(step.kwargs)))}
        steps = tuple(reversed(kept))
        used = {step.target for step in steps if isinstance(step.target, str)}
        weights = {path: tensor for path, tensor in self._weights.items() if path in used}
        layers = {path: layer for path, layer in self._layers.items() if path in used}
        return _with_inputs(self._inputs)(steps, self._inputs, outputs, weights=weights, layers=layers)

    def _add(
        self,
        target: Callable[..., Any] | str,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        scope: str = "",
        is_layer: bool = False,
    ) -> Ref:
        name = f"step_{len(self._steps)}"
        self._steps.append(Step(name, target, args, kwargs or {}, scope, is_layer))
        return Ref(name)


def _with_inputs(names: tuple[str, ...]) -> type[Rolled]:
    """Return a class whose ``forward`` names its arguments, which is where the exporter takes names of inputs from."""

    def forward(self: Rolled, *inputs: Tensor) -> Any:
        return self.run(inputs)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in ("self", *names)]
    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect.signature reads
    return type("Rolled", (Rolled,), {"forward": forward})


class _Scope(nn.Module):
    """Stands at the path of one of the user's modules, so that exported nodes carry that path."""

    def forward(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return _run(function, *args, **kwargs)


def _run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


class Rolled(nn.Module):
    """Runs steps; its layers and weights have the paths that they had in the user's module.

    Args:
        steps: In an order in which they can run.
        inputs: Names of the inputs.
        outputs: References in any structure.
        weights: Tensors by path.
        layers: Layers by path.
    """

    def __init__(
        self,
        steps: tuple[Step, ...],
        inputs: tuple[str, ...],
        outputs: Any,
        *,
        weights: Mapping[str, Tensor],
        layers: Mapping[str, OpLayer],
    ) -> None:
        super().__init__()
        self._steps, self._inputs, self._outputs = steps, inputs, outputs
        # Outer layers first: what lies under their path then goes into them.
        for path in sorted(layers, key=lambda path: path.count(".")):
            owner, name = self._owner(path)
            owner.add_module(name, layers[path])
        for path, tensor in weights.items():
            owner, name = self._owner(path)
            if isinstance(tensor, nn.Parameter):
                owner.register_parameter(name, tensor)
            else:
                owner.register_buffer(name, tensor)
        self._scopes = {step.name: self._scope(step.scope) for step in steps if not isinstance(step.target, str)}

    def run(self, inputs: tuple[Tensor, ...]) -> Any:
        """Return the outputs of the user's module."""
        values: dict[str, Any] = dict(zip(self._inputs, inputs, strict=True))
        for step in self._steps:
            args = filled(step.args, values)
            kwargs = {name: filled(item, values) for name, item in step.kwargs.items()}
            if not isinstance(step.target, str):
                scope = self._scopes[step.name]
                run = self.get_submodule(scope) if scope else _run
                values[step.name] = run(step.target, *args, **kwargs)
            elif step.is_layer:
                values[step.name] = self.get_submodule(step.target)(*args)
            else:
                owner, _, name = step.target.rpartition(".")
                values[step.name] = getattr(self.get_submodule(owner), name)
        return filled(self._outputs, values)

    def _owner(self, path: str) -> tuple[nn.Module, str]:
        parent, _, name = path.rpartition(".")
        owner: nn.Module = self
        for part in parent.split(".") if parent else ():
            if part not in owner._modules:
                owner.add_module(part, _Scope())
            owner = owner.get_submodule(part)
        return owner, name

    def _scope(self, path: str) -> str:
        """Return the path of the scope itself, or of the one around it where a layer stands there."""
        while path and not isinstance(self._owner(f"{path}.x")[0], _Scope):
            path = path.rpartition(".")[0]
        return path


def refs(item: Any) -> Iterator[Ref]:
    """Yield all references in a structure."""
    if isinstance(item, Ref):
        yield item
    elif isinstance(item, Mapping):
        yield from refs(tuple(item.values()))
    elif isinstance(item, slice):
        yield from refs((item.start, item.stop, item.step))
    elif isinstance(item, Iterable) and not isinstance(item, str | Tensor | torch.Size):
        for part in item:
            yield from refs(part)


def filled(item: Any, values: Mapping[str, Any]) -> Any:
    """Return a structure with values in place of references."""
    if isinstance(item, Ref):
        return values[item.name]
    if isinstance(item, Mapping):
        return {key: filled(part, values) for key, part in item.items()}
    if isinstance(item, slice):
        return slice(*(filled(part, values) for part in (item.start, item.stop, item.step)))
    if isinstance(item, list):
        return [filled(part, values) for part in item]
    if isinstance(item, tuple):
        return tuple(filled(part, values) for part in item)
    return item
