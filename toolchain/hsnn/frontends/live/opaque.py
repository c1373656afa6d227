"""Trace a model with its foreign neurons as leaves: each call becomes one node that keeps its state visible."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from hsnn.frontends.live.spec import LiveNeuron
from hsnn.frontends.live.writes import stack_writes
from hsnn.frontends.torch_trace import exported

NEURON = "hsnn_live::neuron"
LATER = "hsnn_live::later"


@torch.library.custom_op(NEURON, mutates_args=())
def _neuron(x: Tensor, states: list[Tensor], path: str, outputs: int, halved: int) -> list[Tensor]:
    raise NotImplementedError("a neuron that is being traced does not compute")


@_neuron.register_fake
def _(x: Tensor, states: list[Tensor], path: str, outputs: int, halved: int) -> list[Tensor]:
    shape = [extent // 2 if axis == halved else extent for axis, extent in enumerate(x.shape)]
    return [x.new_empty(shape) for _ in range(outputs)]


@torch.library.custom_op(LATER, mutates_args=())
def _later(x: Tensor, steps: list[int]) -> Tensor:
    raise NotImplementedError("a delay that is being traced does not compute")


@_later.register_fake
def _(x: Tensor, steps: list[int]) -> Tensor:
    return torch.empty_like(x)


CHANNELS = {"step": 1, "time_first": 2, "batch_first": 2, "merged_batch_first": 1, "time_last": 1}
"""Axis of the channels in each layout."""
OPAQUE = torch.ops.hsnn_live.neuron.default
LATER_NODE = torch.ops.hsnn_live.later.default


def later(x: Tensor, steps: list[int]) -> Tensor:
    """Delay a train, whatever its layout, by one number of timesteps or one for each channel, while it is traced."""
    return torch.ops.hsnn_live.later(x, steps)  # type: ignore[no-any-return]


def trace(
    module: nn.Module, inputs: tuple[Tensor, ...], neurons: Mapping[str, LiveNeuron]
) -> torch.export.ExportedProgram:
    """Trace a model.

    Args:
        module: A copy in eval mode, which is spoiled: its neurons do not compute any more.
        inputs: Example inputs, batch axis first; the batch is free.
        neurons: Its neurons by path.

    Raises:
        UnsupportedError: ``HSNN-F013`` or ``HSNN-F015``, as for any module.
    """
    for path, neuron in neurons.items():
        part = module.get_submodule(path)
        # The type stays what it is, so that code that asks for it, such as a function that resets all neurons, works.
        part.forward = neuron.protocol(part, _emitter(path, neuron))
    with torch.no_grad(), _no_shared_lists(module):
        program = exported(module, inputs, lenient=True)
    stack_writes(program)
    return program


def _emitter(path: str, neuron: LiveNeuron) -> Any:
    outputs, halved = len(neuron.outputs), CHANNELS[neuron.layout] if neuron.pairs else -1

    def emit(x: Tensor, states: Iterable[Tensor]) -> list[Tensor]:
        return list(torch.ops.hsnn_live.neuron(x, list(states), path, outputs, halved))

    return emit


@contextmanager
def _no_shared_lists(module: nn.Module) -> Iterator[None]:
    """Hide the neurons of other models: snnTorch keeps a list of all, and its reset would write into them."""
    snntorch: ModuleType | Any = sys.modules.get("snntorch")
    owner = getattr(snntorch, "SpikingNeuron", None)
    kept = getattr(owner, "instances", None)
    if owner is None or kept is None:
        yield
        return
    owner.instances = [part for part in module.modules() if isinstance(part, owner)]
    try:
        yield
    finally:
        owner.instances = kept
