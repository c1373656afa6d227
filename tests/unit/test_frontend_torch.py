"""From torch to hybrid ONNX: same numbers, readable names, nothing of the exporter left."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.frontends.onnx import from_onnx
from hsnn.frontends.torch import compare_with_torch, from_torch
from hsnn.ir.hybrid import module_of, read_model, wrap
from hsnn.ops import DOMAIN, OPS
from hsnn.ops.functions import inline_functions


class Residual(nn.Module):
    """Two spiking segments with host parts around them, and a residual over spikes in the first."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.encode = snn.RateEncode(6, scale=1.5, silent=1)
        self.conv = snn.TimeDistributed(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)))
        self.lif = snn.Lif(torch.linspace(0.3, 0.6, 4).reshape(4, 1, 1), learn_decay=True, refractory=1)
        self.pool = snn.TimeDistributed(nn.Sequential(nn.AvgPool2d(2), nn.Flatten()))
        self.fc = nn.Linear(16, 8)
        self.out = snn.Lif(0.2, reset="subtract", comparison=">=")
        self.decode = snn.RateDecode()
        self.mid = nn.Linear(8, 8)
        self.planes = snn.BitPlaneEncode(4, order="lsb", floor_lsb=True, rescale="per_sample")
        self.again = snn.RecurrentLif(8, threshold=0.4)
        self.read = snn.LeakyIntegrator(0.25)
        self.last = snn.MembraneDecode()

    def forward(self, x):
        s = self.encode(self.stem(x))
        s = self.lif(self.conv(s)) + s
        y = self.decode(self.out(self.fc(self.pool(s))))
        return self.last(self.read(self.again(self.planes(self.mid(y)))))


class EveryOperator(nn.Module):
    """All operators in parallel branches, two inputs, two outputs."""

    def __init__(self):
        super().__init__()
        self.codes = nn.ModuleList(
            [
                snn.RateEncode(4),
                snn.PoissonEncode(4, seed=5),
                snn.DirectEncode(4),
                snn.GradedEncode(4, step=0.25, signed=True),
                snn.BitPlaneEncode(4, order="msb", floor_lsb=False, rescale="static", low=-1.0, high=2.0),
            ]
        )
        self.lif = snn.Lif(0.5)
        self.recurrent = snn.RecurrentLif(3)
        self.delay = snn.Delay(1)
        self.decoders = nn.ModuleList(
            [
                snn.RateDecode(),
                snn.WindowSumDecode(1, stop=3),
                snn.WeightedSumDecode([1.0, 2.0, 3.0, 4.0], divisor=2.0, learn_weights=True),
                snn.MembraneDecode("max"),
            ]
        )
        self.read = snn.LeakyIntegrator()
        self.each = snn.TimeDistributed(nn.Linear(3, 3))
        self.adaptive = snn.AdaptiveLif(0.3)
        self.counting = snn.CountingLif(0.3)
        self.recurrent_counting = snn.RecurrentCountingLif(3, recurrent_weight=torch.eye(3) / 8)
        self.axons = snn.AxonalDelay(torch.arange(3))
        self.resonate = snn.ResonateFire(0.2)
        turn = {"cos_decay": 0.5, "sin_decay": 0.75}
        self.delta, self.sigma = snn.Delta(0.3), snn.SigmaDelta(0.3)
        grid = {"resolution": 1 / 64}
        self.fixed = nn.ModuleList([snn.FixedLif(0.5, **grid), snn.FixedAdaptiveLif(0.25, **grid)])
        self.fixed_resonate = snn.FixedResonateFire(0.25, **turn, **grid)
        self.fixed_read = snn.FixedLeakyIntegrator(**grid)
        self.fixed_recurrent = snn.FixedRecurrentLif(torch.eye(3) / 2, threshold=0.5, **grid)
        self.fixed_both = snn.FixedRecurrentAdaptiveLif(torch.eye(3) / 2, threshold=0.5, **grid)
        self.changes = nn.Sequential(snn.FixedDelta(0.25, **grid), snn.FixedSigmaDelta(0.25, **grid))

    def forward(self, a, b):
        x = a + b
        s = sum(code(x) for code in self.codes)
        s = s + self.axons(self.sigma(self.delta(s))) + self.adaptive(s)
        pairs = torch.cat([s, s], dim=2)
        s = s + self.resonate(pairs) + self.fixed_resonate(pairs) + sum(fixed(s) for fixed in self.fixed)
        s = s + self.recurrent_counting(self.counting(s))
        s = s + self.fixed_read(self.fixed_recurrent(s)) + self.fixed_both(s) + self.changes(s)
        s = self.recurrent(self.each(self.delay(self.lif(s)) + self.lif(s)))
        return sum(decode(self.read(s)) for decode in self.decoders), s


def randomized(module, seed=0):
    torch.manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
    return module


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(1)
    return randomized(Residual())


@pytest.fixture(scope="module")
def hybrid(net):
    return from_torch(net, (torch.rand(2, 1, 4, 4),))


def run(model, *inputs):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    return session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})


@pytest.mark.parametrize("batch", [1, 3])
def test_onnx_runtime_equals_torch(net, hybrid, batch):
    x = torch.rand(batch, 1, 4, 4)
    with torch.no_grad():
        y = net.eval()(x).numpy()
    np.testing.assert_allclose(run(hybrid.proto, x)[0], y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run(inline_functions(hybrid.proto), x)[0], y, rtol=1e-5, atol=1e-6)
    assert np.ptp(y) > 0


def test_the_model_is_valid_and_says_what_it_has(hybrid):
    onnx.checker.check_model(hybrid.proto, full_check=True)
    (x,), (y,) = hybrid.inputs, hybrid.outputs
    assert (x.name, x.shape, x.dtype) == ("x", (None, 1, 4, 4), "float32")
    assert (y.name, y.shape, y.dtype) == ("output", (None, 8), "float32")
    assert hybrid.proto.opset_import[0].version == 20
    assert hybrid.proto.ir_version <= 10
    assert {item.name for item in hybrid.proto.functions} == {
        node.op_type for node in hybrid.proto.graph.node if node.domain == DOMAIN
    }


def test_names_are_those_of_the_torch_modules(net, hybrid):
    nodes = {node.name: node for node in hybrid.proto.graph.node}
    some = "stem.0/Conv encode/RateEncode conv/MergeTime conv.module.0/Conv conv.module.1/BatchNormalization lif/Lif"
    assert set(f"{some} fc/MatMul fc/Add again/RecurrentLif read/LeakyIntegrator".split()) <= set(nodes)
    modules = dict(net.named_modules())
    for node in nodes.values():
        assert module_of(node) in modules
        assert node.name.startswith(module_of(node))
        assert [item.key for item in node.metadata_props] == ["hsnn.module"]
    for node in hybrid.to_ir().graph:
        assert module_of(node) == module_of(nodes[node.name])


def test_values_are_named_after_their_nodes_and_have_feature_shapes(hybrid):
    for node in hybrid.proto.graph.node:
        assert list(node.output) in ([node.name], ["output"])
        shape = hybrid.shapes[node.output[0]]
        assert shape.count(None) == 1
        assert node.op_type != "Lif" or shape[0] == 6


def test_weights_are_initializers_with_their_torch_names(net, hybrid):
    found = {item.name: onnx.numpy_helper.to_array(item) for item in hybrid.proto.graph.initializer}
    state = {name: value.numpy() for name, value in net.state_dict().items() if "num_batches" not in name}
    state["fc.weight.T"] = state.pop("fc.weight").T
    for name, value in state.items():
        if name not in ("mid.weight", "mid.bias"):
            np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert set(state) <= set(found) | {"mid.weight.T"}
    assert not [node for node in hybrid.proto.graph.node if node.op_type in ("Constant", "Shape", "Clip", "CastLike")]


def test_every_attribute_is_stored(hybrid):
    for node in hybrid.proto.graph.node:
        if node.domain == DOMAIN:
            assert {item.name for item in node.attribute} == {item.name for item in OPS[node.op_type].attributes}


def test_nothing_of_this_machine_is_in_the_model(hybrid):
    data = hybrid.to_bytes()
    for word in (b"File ", b".py", b"torch", b"site-packages"):
        assert word not in data


def test_the_export_is_reproducible(net, hybrid):
    assert from_torch(net, (torch.rand(3, 1, 4, 4),)).to_bytes() == hybrid.to_bytes()


def test_the_caller_keeps_mode_state_and_quiet(net):
    net.train()
    net.lif.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    attributes = {path: set(vars(part)) for path, part in net.named_modules()}
    random = torch.get_rng_state()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        from_torch(net, (torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)),))
    assert not caught
    assert net.training
    assert not net.lif.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert attributes == {path: set(vars(part)) for path, part in net.named_modules()}
    assert torch.equal(random, torch.get_rng_state())
    assert logging.getLogger("torch.onnx").level == logging.NOTSET
    assert all(item.requires_grad for item in net.parameters())


def test_every_operator_two_inputs_and_two_outputs():
    torch.manual_seed(0)
    net = EveryOperator()
    hybrid = from_torch(net, (torch.rand(1, 3), torch.rand(1, 3)))
    assert [item.name for item in hybrid.inputs] == ["a", "b"]
    assert [item.name for item in hybrid.outputs] == ["output_0", "output_1"]
    used = {node.op_type for node in hybrid.proto.graph.node if node.domain == DOMAIN}
    assert used == set(OPS) - {"TrainEncode", "TrainDecode"}, "those two have inputs and outputs of another shape"
    lifs = [node for node in hybrid.proto.graph.node if node.op_type == "Lif"]
    assert [node.name for node in lifs] == ["lif/Lif", "lif/Lif_1"]
    assert [module_of(node) for node in lifs] == ["lif", "lif"]
    a, b = torch.rand(5, 3) * 2 - 1, torch.rand(5, 3)
    with torch.no_grad():
        expected = net.eval()(a, b)
    for found, y in zip(run(hybrid.proto, a, b), expected, strict=True):
        np.testing.assert_allclose(found, y.numpy(), rtol=1e-5, atol=1e-6)
    assert compare_with_torch(net, hybrid, (a, b)).flips == 0


def test_a_model_written_is_read_as_it_was(hybrid, tmp_path):
    (tmp_path / "net.onnx").write_bytes(hybrid.to_bytes())
    loaded = wrap(read_model(tmp_path / "net.onnx"))
    assert loaded.to_bytes() == hybrid.to_bytes()
    assert (loaded.inputs, loaded.outputs, loaded.shapes) == (hybrid.inputs, hybrid.outputs, hybrid.shapes)


def test_to_ir_is_a_copy(hybrid):
    before = hybrid.to_bytes()
    model = hybrid.to_ir()
    model.graph.node(0).name = "changed"
    assert hybrid.to_bytes() == before


@pytest.mark.filterwarnings("ignore")
def test_layers_emit_their_operators_in_a_plain_torch_export_too(net, hybrid):
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        net.eval(),
        (torch.rand(2, 1, 4, 4),),
        dynamo=True,
        dynamic_shapes=({0: batch},),
        opset_version=20,
        verbose=False,
    )
    found = [node.op_type for node in program.model.graph if node.domain == DOMAIN]
    assert found == [node.op_type for node in hybrid.proto.graph.node if node.domain == DOMAIN]
    again = from_onnx(program.model_proto)
    x = torch.rand(3, 1, 4, 4)
    np.testing.assert_allclose(run(again.proto, x)[0], run(hybrid.proto, x)[0], rtol=1e-5, atol=1e-6)


class Cached(nn.Module):
    """Keeps its last activation for whoever looks at it, and resets its own state: neither is hidden state."""

    def __init__(self):
        super().__init__()
        self.encode = snn.RateEncode(3)
        self.lif = snn.Lif(0.5)
        self.decode = snn.RateDecode()

    def forward(self, x):
        self.seen = x * 2
        self.total = torch.zeros_like(x)
        self.total = self.total + x
        return self.decode(self.lif(self.encode(self.total)))


def test_caches_and_state_that_is_reset_are_no_hidden_state():
    net = Cached()
    hybrid = from_torch(net, (torch.rand(2, 3),))
    x = torch.rand(4, 3)
    with torch.no_grad():
        np.testing.assert_array_equal(run(hybrid.proto, x)[0], net(x).numpy())


class Typed(nn.Module):
    """Integer input, an output that is an input, and a reshape that keeps the batch in front."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.encode = snn.RateEncode(3)
        self.lif = snn.Lif(0.25)
        self.decode = snn.RateDecode()

    def forward(self, tokens):
        x = self.embed(tokens).sigmoid()
        s = self.lif(self.encode(x))
        s = s.reshape(3, -1, 2, 10)
        return {"y": self.decode(s).flatten(1), "tokens": tokens}


def test_integer_inputs_and_dictionaries():
    net = Typed()
    hybrid = from_torch(net, (torch.arange(10).reshape(2, 5),))
    assert hybrid.inputs[0].dtype == "int64"
    assert [item.name for item in hybrid.outputs] == ["y", "tokens_1"], "the input has the name of the second one"
    tokens = torch.randint(0, 10, (3, 5))
    y, same = run(hybrid.proto, tokens)
    with torch.no_grad():
        np.testing.assert_array_equal(y, net(tokens)["y"].numpy())
    np.testing.assert_array_equal(same, tokens.numpy())


class Several(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.fc = kind, nn.Linear(3, 2)
        self.spikes = nn.Sequential(snn.DirectEncode(4), snn.Lif(0.5), snn.RateDecode())

    def forward(self, x):
        y = self.spikes(self.fc(x))
        made = {
            "dictionary": {"logits": y, "aux.head": y.relu()},
            "nested": {"heads": [y, y.relu()], "last": (y.tanh(),)},
            "tuple": (y, y.relu()),
            "same": {"a": y, "b": y},
            "lone": y,
        }
        return made[self.kind]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("dictionary", ["logits", "aux_head"]),
        ("nested", ["heads_0", "heads_1", "last_0"]),
        ("tuple", ["output_0", "output_1"]),
        ("same", ["a", "b"]),
        ("lone", ["output"]),
    ],
)
def test_outputs_are_named_as_the_module_returns_them(kind, names):
    hybrid = from_torch(Several(kind), (torch.rand(2, 3),))
    assert [item.name for item in hybrid.outputs] == names
    assert len(run(hybrid.proto, torch.rand(4, 3))) == len(names)


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d])
@pytest.mark.parametrize("bias", [False, True])
def test_convolutions_of_every_rank_run_with_and_without_bias(kind, bias):
    """torch 2.13 gives a Conv3d without bias zeros of two axes, at which ONNX Runtime stops."""
    axes = int(kind.__name__[-2])
    layers = nn.Sequential(kind(2, 3, 2, bias=bias), nn.Sigmoid(), nn.Flatten())
    model = nn.Sequential(layers, snn.DirectEncode(timesteps=3), snn.Lif(0.9), snn.RateDecode()).eval()
    x = torch.randn(4, 2, *(3,) * axes)
    hybrid = from_torch(model, (x,))
    session = ort.InferenceSession(hybrid.proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {hybrid.inputs[0].name: x.numpy()})
    np.testing.assert_allclose(found, model(x).detach().numpy(), atol=1e-6)
    assert 0 < found.mean() < 1
