"""Remarks about bit-plane codings: found where they hold, nowhere else, and told on every way."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.cli import main
from hsnn.frontends.onnx import from_onnx
from hsnn.frontends.torch import compare_with_torch, from_torch
from hsnn.ir.hybrid import HybridModel, wrap
from hsnn.passes.partition.partition import Partition
from hsnn.passes.rewrite.canonicalize import canonicalize

ORDERS, BATCH = "HSNN-P030", "HSNN-P031"


class Planes(nn.Module):
    """Encoder, linear layer, neurons, decoder with the given weights."""

    def __init__(self, weights: list[float], **encoder) -> None:
        super().__init__()
        chosen = {"order": "lsb", "floor_lsb": True, "rescale": "none", **encoder}
        self.encode = snn.BitPlaneEncode(len(weights), **chosen)
        self.fc = nn.Linear(4, 3)
        self.neurons = snn.Lif(0.5)
        self.decode = snn.WeightedSumDecode(weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decode(self.neurons(self.fc(self.encode(x))))


@pytest.fixture(scope="module")
def exported() -> HybridModel:
    """One export for all tests; what they need else is written into the ONNX model, which is much faster."""
    return from_torch(Planes([1.0, 2.0, 4.0]).eval(), (torch.rand(2, 4),))


def codes(hybrid: HybridModel, weights: list[float], **attributes: str) -> dict[str, str]:
    """Codes of the placements that have one, by module, with other weights and attributes of the encoder."""
    proto = onnx.ModelProto()
    proto.CopyFrom(hybrid.proto)
    for node in proto.graph.node:
        for item in node.attribute:
            if node.op_type == "BitPlaneEncode" and item.name in attributes:
                item.s = attributes[item.name].encode()
            if node.op_type == "BitPlaneEncode" and item.name == "planes":
                item.i = len(weights)
            if node.op_type == "SplitTime" and item.name == "timesteps":
                item.i = len(weights)
    for item in proto.graph.initializer:
        if item.name == "decode.weights":
            item.CopyFrom(onnx.numpy_helper.from_array(np.array(weights, np.float32), item.name))
    for info in (*proto.graph.value_info, *proto.graph.output):
        dims = info.type.tensor_type.shape.dim
        if len(dims) == 3:
            dims[0].dim_value = len(weights)
    plan = Partition()(canonicalize(wrap(proto)))
    return {placement.module: placement.code for placement in plan.placements if placement.code}


@pytest.mark.parametrize(
    ("weights", "order", "differ"),
    [
        ([1.0, 2.0, 4.0], "lsb", False),
        ([4.0, 2.0, 1.0], "msb", False),
        ([4.0, 2.0, 1.0], "lsb", True),
        ([0.5, 1.0, 2.0], "msb", True),
        ([-8.0, -4.0, -2.0], "lsb", True),
        ([1.0, 1.0, 1.0], "lsb", False),  # a rate, not bits
        ([4.0, 2.0, 0.0], "lsb", False),
        ([1.0], "lsb", False),  # a single plane has no order
    ],
)
def test_orders_that_differ_are_found(exported: HybridModel, weights: list[float], order: str, differ: bool) -> None:
    assert codes(exported, weights, order=order) == ({"decode": ORDERS} if differ else {})


@pytest.mark.parametrize(("rescale", "depends"), [("none", 0), ("static", 0), ("per_sample", 0), ("batch", 1)])
def test_only_a_rescale_over_the_batch_is_remarked(exported: HybridModel, rescale: str, depends: int) -> None:
    assert codes(exported, [1.0, 2.0], rescale=rescale) == ({"encode": BATCH} if depends else {})


def test_decoders_behind_other_encoders_or_none_of_the_chip() -> None:
    """A rate is no order of bits; and a decoder right behind the encoder reads bits, with no neuron between."""

    class Two(Planes):
        def __init__(self) -> None:
            super().__init__([2.0, 1.0])
            self.rate = snn.RateEncode(2)
            self.decode_planes = snn.WeightedSumDecode([2.0, 1.0])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.decode_planes(self.encode(x)).sum(1, keepdim=True) + self.decode(
                self.neurons(self.fc(self.rate(x)))
            )

    hybrid = from_torch(Two().eval(), (torch.rand(2, 4),))
    plan = Partition()(canonicalize(hybrid))
    assert {item.module: item.code for item in plan.placements if item.code} == {"decode_planes": ORDERS}


def test_the_command_warns_on_standard_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "from hsnn_models.has8 import Has8Vgg\ndef net():\n    return Has8Vgg('has8', base=2, depth=0, hidden=())\n"
    )
    (tmp_path / "surprising_has8.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    out, err = io.StringIO(), io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(out), redirect_stderr(err):
        warnings.simplefilter("default")
        status = main(["check", "surprising_has8:net", "--input-shape", "1x8x8"])
    assert status == 0
    told = err.getvalue()
    assert "warning: HSNN-P030: blocks.0.snn.decode" in told
    assert "warning: HSNN-P031: blocks.0.snn.encode" in told
    assert told.count("warning:") == 2


def test_a_flip_in_one_sample_explains_those_of_the_batch_behind_a_batch_rescale() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encode2 = snn.RateEncode(4)
            self.spikes = snn.Lif(0.5, voltage_decay=0.0)
            self.decode = snn.RateDecode()
            self.encode3 = snn.BitPlaneEncode(3, order="lsb", floor_lsb=True, rescale="batch")
            self.last = snn.Lif(0.5)
            self.scale = nn.Linear(2, 2)
            self.decode2 = snn.RateDecode()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rate = self.decode(self.spikes(self.encode2(x)))
            return self.decode2(self.last(self.scale(self.encode3(rate + x))))

    torch.manual_seed(0)
    model = Two()
    x = torch.tensor([[0.9, 0.9], [0.3, 0.1], [0.2, 0.0]])
    hybrid = from_torch(model, (x,))
    proto = onnx.ModelProto()
    proto.CopyFrom(hybrid.proto)
    for item in proto.graph.initializer:
        if item.name == "spikes.threshold":  # only the first sample spikes more than twice, and no longer
            item.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(item) * 0 + 3.5, item.name))
    found = {item.module: item for item in compare_with_torch(model, from_onnx(proto), (x,)).neurons}
    assert found["spikes"].flips > 0
    assert found["encode3"].flips > 0
    assert found["encode3"].first_flips == 0
