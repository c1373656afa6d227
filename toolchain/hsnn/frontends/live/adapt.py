"""From a model with neurons of other libraries to one of hsnn layers that computes the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hsnn.errors import UnsupportedError
from hsnn.frontends.live import graph, opaque, slayer_blocks
from hsnn.frontends.live.interpret import rolled
from hsnn.frontends.live.program import Rolled
from hsnn.frontends.live.registry import neurons_of, reset_neurons
from hsnn.frontends.live.spec import LiveNeuron
from hsnn.frontends.live.values import Layout
from hsnn.frontends.torch_state import call, inference_copy
from hsnn.frontends.torch_trace import output_names


@dataclass(frozen=True, slots=True, eq=False)
class LiveModel:
    """A model with neurons of other libraries, and the same model of hsnn layers.

    Attributes:
        original: A copy of the user's module, its neurons in their first state.
        rolled: The model of hsnn layers. Weights and neurons keep their paths.
        neurons: What each foreign neuron is, by path.
        layouts: Axes of each output in the user's module; in ``rolled`` trains come batch first.
        outputs: Names of the outputs, of the keys or fields that ``original`` returns them under.
    """

    original: nn.Module
    rolled: Rolled
    neurons: Mapping[str, LiveNeuron]
    layouts: tuple[Layout, ...]
    outputs: tuple[str, ...]

    def run_original(self, inputs: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """Run the library's own model from its first state.

        Args:
            inputs: One tensor for each input, batch axis first.

        Returns:
            Its outputs, trains batch first; and what each neuron sent, ``(timestep, batch, *feature)``.
        """
        module = inference_copy(self.original)
        sent: dict[str, list[Tensor]] = {path: [] for path in self.neurons}
        for path in self.neurons:
            probe = f"{path}.{self.neurons[path].probe}".strip(".") if self.neurons[path].probe else path
            module.get_submodule(probe).register_forward_hook(_keep(sent[path]))
        with torch.no_grad():
            outputs = call(module, inputs)
        turned = tuple(_batch_first(item, layout) for item, layout in zip(outputs, self.layouts, strict=False))
        return turned + outputs[len(turned) :], {
            path: _train(self.neurons[path], calls) for path, calls in sent.items()
        }


def adapt(module: nn.Module, inputs: tuple[Tensor, ...]) -> LiveModel:
    """Find the foreign neurons of a model and build it from hsnn layers.

    State starts at zero for every sample, as with hsnn's own layers: what the libraries' training loops do by
    resetting the neurons between batches.

    Args:
        module: Any module; it is left as it is.
        inputs: Example inputs, batch axis first.

    Raises:
        UnsupportedError: ``HSNN-F090`` or ``HSNN-F091``, if a neuron cannot be expressed; ``HSNN-F092`` to
            ``HSNN-F094``, if the model's use of time cannot be understood; ``HSNN-F013`` or ``HSNN-F015``, if torch
            cannot trace it.
        UsageError: ``HSNN-F010``, if the model fails on the inputs by itself.
    """
    original = inference_copy(module)
    neurons = neurons_of(original)
    reset_neurons(original)
    spoiled = inference_copy(original)
    slayer_blocks.rewrite(spoiled)
    try:
        program = opaque.trace(spoiled, inputs, neurons)
    except UnsupportedError as error:
        if error.code in ("HSNN-F013", "HSNN-F015"):
            call(inference_copy(original), inputs)  # What fails by itself, as by a wrong shape, says so.
        raise
    traced = graph.read(spoiled, program, neurons)
    names = tuple(program.graph_signature.user_inputs)
    binary = frozenset(
        name for name, item in zip(names, inputs, strict=True) if bool(((item == 0) | (item == 1)).all())
    )
    built, layouts = rolled(traced, inputs=names, binary=binary)
    return LiveModel(original, built.eval(), neurons, layouts, output_names(program))


def _keep(calls: list[Tensor]) -> Callable[[nn.Module, object, object], None]:
    def hook(_: nn.Module, __: object, output: object) -> None:
        first = output[0] if isinstance(output, tuple) else output
        if isinstance(first, Tensor):
            calls.append(first.detach().clone())

    return hook


def _batch_first(item: Tensor, layout: Layout) -> Tensor:
    if layout == "time_last":
        return item.movedim(-1, 1)
    return item.transpose(0, 1) if layout == "time_first" else item


def _train(neuron: LiveNeuron, calls: list[Tensor]) -> Tensor:
    if not calls or neuron.layout == "step":
        return torch.stack(calls) if calls else torch.empty(0)
    if neuron.layout == "time_last":
        return torch.cat(calls, -1).movedim(-1, 0)
    sent = calls[0]
    if neuron.layout == "merged_batch_first":
        sent = sent.unflatten(0, (-1, neuron.timesteps or 1))
    return sent if neuron.layout == "time_first" else sent.transpose(0, 1)
