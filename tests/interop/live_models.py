"""Small models around a neuron of another library, and what they have to agree on with hsnn."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import torch
from torch import nn

from hsnn.errors import HsnnError
from hsnn.frontends.live import adapt
from hsnn.frontends.torch import compare_with_library, compare_with_torch, from_torch

TIMESTEPS = 7


def assert_equal(model: nn.Module, *, shape=(6,), samples=5, scale=1.0, spikes=True, x=None):
    """Assert that library, hsnn layers and the hybrid ONNX agree over time, spike for spike.

    A spike may flip where the voltage is next to its threshold, as in ``hsnn.frontends.torch_compare``.
    """
    torch.manual_seed(1)
    model.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    inputs = (scale * torch.rand(samples, *shape) if x is None else x,)
    live = adapt(model, inputs)
    library = compare_with_library(live, inputs)
    assert library.flips_explained, library
    assert library.max_rel < 1e-5, library
    if spikes:
        assert all(item.spikes > 0 for item in library.neurons), library
    hybrid = from_torch(live.rolled, inputs)
    assert {name: value.shape for name, value in model.state_dict().items()} == {n: v.shape for n, v in before.items()}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    found = compare_with_torch(live.rolled, hybrid, inputs)
    assert found.flips_explained, found
    if library.flips or found.flips:
        return
    session = ort.InferenceSession(hybrid.proto.SerializeToString(), providers=["CPUExecutionProvider"])
    ours = session.run(None, {hybrid.inputs[0].name: inputs[0].numpy()})
    theirs, _ = live.run_original(inputs)
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-4, atol=1e-5)


def all_refused(check, *parts):
    """Assert that every part is refused with one and the same code, by raising the last error."""
    errors = []
    for part in parts:
        try:
            check(part)
        except HsnnError as error:
            errors.append(error)
        else:
            raise AssertionError(f"{type(part).__name__} is not refused")
    assert len({error.code for error in errors}) == 1, errors
    raise errors[-1]


class Loop(nn.Module):
    """A static input, a loop over time, two layers of neurons; returns the mean of spikes or voltages.

    ``call`` runs a neuron for one timestep: it gets neuron, input and state, and returns output and state.
    """

    def __init__(self, first: nn.Module, second: nn.Module, call, *, features=6, hidden=5, stacked=True):
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.first = nn.Linear(features, hidden), first
        self.fc2, self.second = nn.Linear(hidden, 4), second
        with torch.no_grad():
            self.fc1.weight.mul_(2.0)
            self.fc2.weight.mul_(3.0)
        self.step, self.stacked = call, stacked

    def forward(self, x):
        one = two = None
        sent = []
        for _ in range(TIMESTEPS):
            spikes, one = self.step(self.first, self.fc1(x), one)
            out, two = self.step(self.second, self.fc2(spikes), two)
            sent.append(out)
        return torch.stack(sent).mean(0) if self.stacked else sum(sent)
