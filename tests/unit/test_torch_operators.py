"""What torch knows of its operators is gathered once, and torch is left as it was."""

from __future__ import annotations

import torch
from torch import nn
from torch.onnx._internal.exporter import _registration

from hsnn import nn as snn
from hsnn.frontends import torch_operators
from hsnn.frontends.torch import from_torch


def export(layer):
    model = nn.Sequential(layer, snn.RateEncode(timesteps=2), snn.Lif(voltage_decay=0.5), snn.RateDecode())
    return from_torch(model.eval(), (torch.ones(2, 12),))


def test_later_exports_give_the_same(monkeypatch):
    registry = _registration.ONNXRegistry
    before = vars(registry)["from_torchlib"]
    torch.manual_seed(0)
    layer = nn.Linear(12, 5)
    torch_operators._gathered.cache_clear()
    first, second = export(layer), export(layer)
    found = torch_operators._gathered.cache_info()
    assert (found.misses, found.hits) == (1, 1)
    assert vars(registry)["from_torchlib"] is before
    monkeypatch.setattr(torch_operators, "_registry", lambda: None)  # a torch that does it another way
    assert first.to_bytes() == second.to_bytes() == export(layer).to_bytes()


def test_what_one_export_adds_stays_with_it():
    with torch_operators.known_operators():
        one = _registration.ONNXRegistry.from_torchlib()
        one.register_op(torch.ops.aten.add.Tensor, lambda x, y: x)
        other = _registration.ONNXRegistry.from_torchlib()
    added = [sum(map(len, registry.functions.values())) for registry in (one, other)]
    assert added[0] == added[1] + 1
