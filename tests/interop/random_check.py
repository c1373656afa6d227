"""Hold a random hybrid to its library: every output, spike and state over time, against the hybrid ONNX model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from random_hybrids import Drawn, RandomHybrid, States
from torch import Tensor

from hsnn.frontends.live import LiveModel, adapt
from hsnn.frontends.torch import compare_with_library, compare_with_torch, from_torch
from hsnn.frontends.torch_state import call, inference_copy
from hsnn.ir.hybrid import HybridModel, module_of
from support.onnx_states import states_over_time

TOLERANCE = 1e-5


def assert_same(model: RandomHybrid) -> tuple[int, int]:
    """Assert that the library and the hybrid ONNX model agree over time; return spikes, and samples that were compared.

    A spike may flip next to its threshold, as in ``hsnn.frontends.torch_compare``; samples in which one did are left
    out of what is compared after that.
    """
    model.eval()
    inputs = (model.inputs(),)
    live = adapt(model, inputs)
    library = compare_with_library(live, inputs)
    assert library.flips_explained, library
    assert library.max_rel < TOLERANCE, library
    hybrid = from_torch(live.rolled, inputs)
    found = compare_with_torch(live.rolled, hybrid, inputs)
    assert found.flips_explained, found
    assert found.max_rel < TOLERANCE, found
    ours, outputs = _traces(hybrid, inputs)
    theirs, expected = library_run(live, model, inputs)
    keep = _unflipped(model, ours, theirs)
    for index, drawn in enumerate(model.drawn):
        path = f"neurons.{index}"
        _assert_states(path, drawn.expect(ours[path]), theirs[path], keep)
    for a, b in zip(expected, outputs, strict=True):
        _assert_close("output", a[keep], b[keep])
    return sum(item.spikes for item in library.neurons), int(keep.sum())


def library_run(
    live: LiveModel, model: RandomHybrid, inputs: tuple[Tensor, ...]
) -> tuple[dict[str, States], tuple[Tensor, ...]]:
    """Run the library's own model; return the states of each neuron over time, and the outputs, trains batch first."""
    copy = inference_copy(live.original)
    held: dict[str, list[States]] = {}
    for index, drawn in enumerate(model.drawn):
        path = f"neurons.{index}"
        held[path] = []
        copy.get_submodule(path).register_forward_hook(_keeper(drawn, held[path]))
    with torch.no_grad():
        outputs = call(copy, inputs)
    turned = tuple(
        item.transpose(0, 1) if layout == "time_first" else item
        for item, layout in zip(outputs, live.layouts, strict=True)
    )
    step = model.mode == "step"
    joined = {
        path: {name: torch.stack([item[name] for item in calls]) if step else calls[0][name] for name in calls[0]}
        for path, calls in held.items()
    }
    return joined, turned


def _keeper(drawn: Drawn, held: list[States]) -> Callable[..., None]:
    def hook(module: object, _: object, output: object) -> None:
        held.append({name: value.detach().clone() for name, value in drawn.read(module, output).items()})

    return hook


def _traces(hybrid: HybridModel, inputs: tuple[Tensor, ...]) -> tuple[dict[str, States], list[Tensor]]:
    """Run the hybrid ONNX model; return what its neurons hold over time by module, and its outputs."""
    feeds = {item.name: tensor.numpy() for item, tensor in zip(hybrid.inputs, inputs, strict=True)}
    found, outputs = states_over_time(hybrid, feeds)
    states: dict[str, States] = {}
    for node, held in found:
        path = module_of(node).split(".output_")[0]
        states.setdefault(path, {}).update({name: torch.from_numpy(value) for name, value in held.items()})
    return states, [torch.from_numpy(item) for item in outputs]


def _unflipped(model: RandomHybrid, ours: dict[str, States], theirs: dict[str, States]) -> Tensor:
    """Return which samples sent the same spikes; flips were judged before."""
    keep = torch.ones(next(iter(ours.values()))["s"].shape[1], dtype=torch.bool)
    for index, drawn in enumerate(model.drawn):
        path = f"neurons.{index}"
        if drawn.spikes:
            sent = theirs[path]["s"]
            same = torch.isclose(sent, drawn.expect(ours[path])["s"].reshape(sent.shape), rtol=TOLERANCE)
            keep &= same.transpose(0, 1).flatten(1).all(1)
    return keep


def _assert_states(path: str, ours: States, theirs: States, keep: Tensor) -> None:
    assert ours.keys() == theirs.keys(), f"{path}: {ours.keys()} are not {theirs.keys()}"
    for name, value in theirs.items():
        _assert_close(f"{path} {name}", value[:, keep], ours[name][:, keep])


def _assert_close(what: str, a: Tensor, b: Tensor) -> None:
    assert a.shape == b.shape, f"{what}: {tuple(a.shape)} is not {tuple(b.shape)}"
    largest = float(a.abs().max()) if a.numel() else 0.0
    np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=0, atol=TOLERANCE * max(largest, 1.0), err_msg=what)
