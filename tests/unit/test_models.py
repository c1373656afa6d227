"""The example models: shapes, trained accuracy, gradients, rates, and a training that can be resumed."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from hsnn.errors import UsageError
from hsnn.nn import Lif
from hsnn_models import data, weights
from hsnn_models.digits import Digits, digits
from hsnn_models.fashion import Fashion, fashion
from hsnn_models.train import recipes
from hsnn_models.training import Settings, accuracy, spike_rates, train

SMALL = Settings(
    epochs=3,
    batch=40,
    learning_rate=4e-3,
    weight_decay=1e-2,
    seed=3,
    mirror=True,
    quiet=0.05,
    busy=0.1,
    balance=2.0,
)

TRAINED = [
    pytest.param(digits, data.digits("calibration"), id="digits"),
    pytest.param(fashion, data.fashion_subset("calibration"), id="fashion"),
]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def quiet_console() -> Console:
    return Console(file=io.StringIO())


@pytest.mark.parametrize(("factory", "side"), [(digits, 8), (fashion, 28)])
@pytest.mark.parametrize("batch", [1, 3])
def test_logits_of_every_batch_size(factory, side: int, batch: int) -> None:
    model = factory()
    images = torch.rand(batch, 1, side, side)
    with torch.no_grad():
        logits = model(images)
        torch.testing.assert_close(logits[:1], model(images[:1]), rtol=1e-4, atol=1e-5)
    assert logits.shape == (batch, 10)
    assert logits.isfinite().all()


@pytest.mark.parametrize("factory", [digits, fashion])
def test_factory_gives_a_model_to_run_not_to_train(factory) -> None:
    assert not any(module.training for module in factory().modules())


@pytest.mark.parametrize(("factory", "images"), TRAINED)
def test_gradient_reaches_every_parameter(factory, images: data.Images) -> None:
    model = factory(trained=True).train()
    logits = model(torch.from_numpy(images.images[:32]))
    torch.nn.functional.cross_entropy(logits, torch.from_numpy((images.labels[:32] + 1) % 10)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(("make", "side"), [(Digits, 8), (Fashion, 28)])
def test_gradient_of_an_untrained_model_reaches_the_image(make: type[nn.Module], side: int) -> None:
    torch.manual_seed(0)
    images = torch.rand(8, 1, side, side, requires_grad=True)
    torch.nn.functional.cross_entropy(make()(images), torch.arange(8)).backward()
    assert images.grad is not None
    assert (images.grad.abs().flatten(1).sum(1) > 0).all()


def test_trained_digits_are_right() -> None:
    assert accuracy(digits(trained=True), data.digits("test")) >= 0.98


def test_trained_fashion_is_right() -> None:
    assert accuracy(fashion(trained=True), data.fashion_subset("test")) >= 0.89


def test_untrained_models_are_not() -> None:
    torch.manual_seed(0)
    assert accuracy(digits(), data.digits("test")) < 0.4


@pytest.mark.parametrize(("factory", "images"), TRAINED)
def test_trained_spikes_are_sparse_and_no_layer_is_dead(factory, images: data.Images) -> None:
    model = factory(trained=True)
    rates = spike_rates(model, images)
    neurons = {name: rates[name] for name, layer in model.named_modules() if isinstance(layer, Lif)}
    assert len(neurons) == {"Digits": 2, "Fashion": 5}[type(model).__name__]
    assert all(0.02 < rate < 0.25 for rate in neurons.values()), neurons


@pytest.mark.parametrize("name", ["digits", "fashion"])
def test_packed_weights_are_small(name: str) -> None:
    assert weights.packed(name).stat().st_size < 5_000_000


def test_weights_survive_the_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = Digits()
    weights.save_weights(model, tmp_path / "w.safetensors")
    other = weights.load_weights(Digits(), tmp_path / "w.safetensors")
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_weights_of_another_model_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "packed", lambda name: tmp_path / f"{name}.safetensors")
    weights.save_weights(Digits(), tmp_path / "fashion.safetensors")
    with pytest.raises(UsageError, match="HSNN-F004"):
        fashion(trained=True)
    with pytest.raises(UsageError, match="HSNN-F003"):
        digits(trained=True)


def test_interrupted_training_ends_like_an_uninterrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, held_out = data.digits("train").first(200), data.digits("calibration")

    def run(checkpoint: str) -> nn.Module:
        path = tmp_path / "new" / checkpoint
        return train(Digits, images, held_out, settings=SMALL, checkpoint=path, console=quiet_console())

    whole = run("whole.pt")
    with monkeypatch.context() as patch:
        calls = []

        def stop_second_time(model: nn.Module, images: data.Images) -> float:
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return 0.0

        patch.setattr("hsnn_models.training.accuracy", stop_second_time)
        with pytest.raises(KeyboardInterrupt):
            run("parts.pt")
    resumed = run("parts.pt")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_training_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    images = data.digits("calibration")
    one = dataclasses.replace(SMALL, epochs=1)
    train(Digits, images, images, settings=one, checkpoint=tmp_path / "c.pt", console=quiet_console())
    assert torch.equal(torch.rand(3), expected)


def test_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    images = data.digits("calibration")
    path = tmp_path / "c.pt"
    one = dataclasses.replace(SMALL, epochs=1)
    train(Digits, images, images, settings=one, checkpoint=path, console=quiet_console())
    with pytest.raises(UsageError, match="HSNN-U205"):
        train(Digits, images, images, settings=SMALL, checkpoint=path, console=quiet_console())


def test_training_learns_and_keeps_layers_alive(tmp_path: Path) -> None:
    images = data.digits("train")
    settings = dataclasses.replace(recipes()["digits"].settings, epochs=4)
    model = train(
        Digits,
        images,
        data.digits("calibration"),
        settings=settings,
        checkpoint=tmp_path / "c.pt",
        console=quiet_console(),
    )
    assert accuracy(model, data.digits("calibration")) > 0.5
    assert min(spike_rates(model, images.first(200)).values()) > 0.02
