"""The HAS-8 families: neurons and blocks as published, sizes, twins, gradients, recipes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.errors import UsageError
from hsnn_models.has8 import Has8ResNet, Has8Vgg
from hsnn_models.has8_blocks import Blocks, Fusion, SpikingResidual, spiking_neurons
from hsnn_models.has8_recipes import NAMES, factories, load, settings
from hsnn_models.train import recipes
from hsnn_models.training import spike_rates

PRESETS = ("has8", "matched")
SMALL = {
    "vgg": lambda preset, **more: Has8Vgg(preset, base=4, depth=1, hidden=(8,), **more),
    "resnet": lambda preset, **more: Has8ResNet(preset, stem=4, base=4, depth=(1, 1), stem_stride=1, **more),
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_neurons_are_those_of_spikingjelly_by_its_formula() -> None:
    """``H = V + (X - V) / 2;  S = [H >= 1];  V = H (1 - S)``, its LIFNode with the defaults."""
    drive = torch.rand(8, 3, 50, generator=torch.Generator().manual_seed(1)) * 3
    drive[:, :, 0] = 2.0  # reaches exactly 1 at once
    drive[:, :, 1] = 1.0  # comes ever closer to 1
    expected, v = [], torch.zeros(3, 50)
    for x in drive:
        h = v + (x - v) / 2
        s = (h >= 1).float()
        v = h * (1 - s)
        expected.append(s)
    spikes = spiking_neurons()(drive)
    assert torch.equal(spikes, torch.stack(expected))
    assert spikes[:, :, 0].all()
    assert not spikes[:, :, 1].any()


def test_neurons_have_the_published_gradient_through_the_reset() -> None:
    neurons = spiking_neurons()
    assert not neurons.detach_reset
    assert neurons.surrogate == snn.Atan(2.0)


@pytest.mark.parametrize("shortcut", [False, True])
def test_spiking_residual_adds_spikes_to_its_input(shortcut: bool) -> None:
    torch.manual_seed(0)
    block = SpikingResidual(3, 5 if shortcut else 3, stride=2 if shortcut else 1).eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.bias, 3.0)  # so that all neurons spike at every step
    spikes = torch.rand(8, 2, 3, 6, 6) * 2
    total = block(spikes)
    if shortcut:
        assert total.shape == (8, 2, 5, 3, 3)
        assert set(total.unique().tolist()) <= {0.0, 1.0, 2.0}
        assert (total == 2).any()
    else:
        added = total - spikes
        assert set((added * 2**20).round().div(2**20).unique().tolist()) <= {0.0, 1.0}
        assert (total > 2).any()


@pytest.mark.parametrize("family", sorted(SMALL))
@pytest.mark.parametrize("preset", PRESETS)
def test_logits_and_gradient_down_to_the_first_layers(family: str, preset: str) -> None:
    torch.manual_seed(0)
    model = SMALL[family](preset)
    images = torch.rand(6, 1, 16, 16, requires_grad=True)
    logits = model(images)
    assert logits.shape == (6, 10)
    torch.nn.functional.cross_entropy(logits, torch.arange(6)).backward()
    first = model.blocks[0]
    for branch in (first.snn, first.ann):
        weights = next(branch.parameters())
        assert weights.grad is not None
        assert weights.grad.abs().sum() > 0
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize("gradient", ["sig_sine", "tanh_sine", "fourier_sine", "straight_through"])
def test_gradient_comes_through_the_planes_of_a_later_block(gradient: str) -> None:
    """With the spiking branches alone there is no way around them."""
    torch.manual_seed(0)
    model = SMALL["vgg"]("matched", branches="snn", gradient=gradient)
    assert {m.gradient for m in model.modules() if isinstance(m, snn.BitPlaneEncode)} == {gradient}
    model(torch.rand(6, 1, 16, 16)).sum().backward()
    weights = next(model.blocks[0].parameters())
    assert weights.grad is not None
    assert weights.grad.abs().sum() > 0


@pytest.mark.parametrize("family", sorted(SMALL))
def test_a_fusion_is_the_sum_of_its_branches(family: str) -> None:
    torch.manual_seed(0)
    model = SMALL[family]("matched").eval()
    x = torch.rand(2, 1, 16, 16)
    for block in model.blocks:
        assert isinstance(block, Fusion) == any("snn" in name for name, _ in block.named_children())
        if isinstance(block, Fusion):
            assert torch.equal(block(x), block.snn(x) + block.ann(x))
        x = block(x)
    assert sum(isinstance(block, Fusion) for block in model.blocks) == 3


@pytest.mark.parametrize("family", sorted(SMALL))
@pytest.mark.parametrize(("branches", "left_out"), [("ann", "snn"), ("snn", "ann")])
def test_twins_have_one_branch_of_the_same_size(family: str, branches: str, left_out: str) -> None:
    def weights(model: nn.Module) -> dict[str, tuple[int, ...]]:
        return {name: tuple(value.shape) for name, value in model.named_parameters()}

    whole, twin = weights(SMALL[family]("matched")), weights(SMALL[family]("matched", branches=branches))
    assert twin == {name: shape for name, shape in whole.items() if f".{left_out}." not in f".{name}"}
    assert SMALL[family]("matched", branches=branches)(torch.rand(2, 1, 16, 16)).shape == (2, 10)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_choose_the_coding_of_every_block(preset: str) -> None:
    model = Has8ResNet(preset, stem=4, base=4, depth=(1, 1), high=3.0)
    encoders = [module for module in model.modules() if isinstance(module, snn.BitPlaneEncode)]
    assert len(encoders) == 3
    assert {item.rescale for item in encoders} == {"batch" if preset == "has8" else "static"}
    assert {item.gradient for item in encoders} == {"fourier_sine" if preset == "has8" else "straight_through"}
    if preset == "matched":
        assert [item.high for item in encoders] == [1.0, 3.0, 3.0]


def test_published_sizes() -> None:
    """Neurons are counted in the conformance tests; the spiking branch's weights are those derived in 1.1.7."""
    for base, millions in ((32, 2.8), (64, 11.2)):
        model = Has8ResNet("has8", inputs=3, base=base)
        convolutions = [
            module
            for name, module in model.named_modules()
            if ".snn." in name and isinstance(module, nn.Conv2d)
        ]  # fmt: skip
        count = sum(module.weight.numel() for module in convolutions)
        assert count / 1e6 == pytest.approx(millions, abs=0.05)
        assert len(model.blocks) == 9


@pytest.mark.parametrize(("arguments", "name"), [(("other",), "preset"), (("has8", "either"), "branches")])
def test_unknown_names_are_refused(arguments: tuple[str, ...], name: str) -> None:
    with pytest.raises(UsageError, match="HSNN-U210") as caught:
        Blocks(arguments[0], branches=arguments[1] if len(arguments) > 1 else "both")
    assert name in caught.value.found


def test_recipes_cover_both_families_presets_and_twins() -> None:
    names = {f"has8_{family}_{kind}" for family in ("vgg", "resnet") for kind in ("matched", "has8", "ann", "snn")}
    assert set(NAMES) == names
    known = recipes()
    assert {name: known[name].settings for name in names} == {name: settings(name) for name in names}
    assert settings("has8_vgg_has8").epochs > settings("has8_vgg_matched").epochs
    with pytest.raises(UsageError, match="HSNN-U210"):
        load("has8_mlp_matched")


@pytest.mark.parametrize("name", NAMES)
def test_trained_weights_come_with_the_package(name: str) -> None:
    """Trained ones tell the images apart that they were packed with; random ones do not."""
    from hsnn_models import data
    from hsnn_models.training import accuracy

    images = data.fashion_subset("test").first(250)
    assert accuracy(load(name, trained=True), images, batch=250) > 0.8
    assert accuracy(load(name), images, batch=250) < 0.5


@pytest.mark.parametrize("family", sorted(SMALL))
def test_a_plain_spiking_twin_is_encoded_and_decoded_once(family: str) -> None:
    torch.manual_seed(0)
    whole, plain = (SMALL[family]("matched", branches=branches) for branches in ("both", "plain"))
    assert [type(m) for m in plain.modules()].count(snn.BitPlaneEncode) == 1
    assert [type(m) for m in plain.modules()].count(snn.WeightedSumDecode) == 1
    shapes = [tuple(v.shape) for name, v in whole.named_parameters() if ".ann." not in f".{name}"]
    assert [tuple(v.shape) for v in plain.parameters()] == shapes
    logits = plain(torch.rand(4, 1, 16, 16))
    assert logits.shape == (4, 10)
    logits.sum().backward()
    weights = next(plain.parameters())
    assert weights.grad is not None
    assert weights.grad.abs().sum() > 0


@pytest.mark.parametrize("clip", [None, 1e-3])
def test_gradients_are_clipped_to_the_norm_that_was_asked_for(clip: float | None, tmp_path, monkeypatch) -> None:
    import io

    from rich.console import Console

    from hsnn_models import data, training

    norms: list[float] = []

    class Watched(training.AdamW):
        def step(self, closure: object = None) -> None:
            gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
            norms.append(float(torch.stack([g.norm() for g in gradients]).norm()))

    monkeypatch.setattr(training, "AdamW", Watched)
    images = data.fashion_subset("calibration").first(40)
    chosen = training.Settings(1, 20, 1e-2, 0.0, seed=1, mirror=False, quiet=0.0, busy=1.0, balance=1.0, clip=clip)
    training.train(
        lambda: SMALL["vgg"]("matched"),
        images,
        images,
        settings=chosen,
        checkpoint=tmp_path / "c.pt",
        console=Console(file=io.StringIO()),
    )
    assert len(norms) == 2
    assert all(norm > 1e-2 for norm in norms) if clip is None else max(norms) <= clip * 1.01


@pytest.mark.parametrize("name", sorted(factories()))
def test_models_of_the_recipes_take_fashion_images(name: str) -> None:
    model = factories()[name]().eval()
    images = torch.rand(2, 1, 28, 28)
    assert model(images).shape == (2, 10)


def test_a_twin_without_neurons_can_be_trained_and_has_no_rates(tmp_path) -> None:
    import io

    from rich.console import Console

    from hsnn_models import data
    from hsnn_models.training import Settings, train

    settings = Settings(
        epochs=1, batch=20, learning_rate=1e-2, weight_decay=0.0, seed=1, mirror=False, quiet=0.0, busy=1.0, balance=1.0
    )
    images = data.fashion_subset("calibration")
    model = train(
        lambda: SMALL["vgg"]("matched", branches="ann"),
        images,
        images,
        settings=settings,
        checkpoint=tmp_path / "c.pt",
        console=Console(file=io.StringIO()),
    )
    assert spike_rates(model, images.first(10)) == {}
