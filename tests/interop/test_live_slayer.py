"""slayer's own output against ours over generated models with every field other than its default, down to Lava."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from live_models import assert_equal
from live_slayer import (
    BATCH,
    CLASSES,
    Chain,
    Hybrid,
    adaptive,
    cuba,
    events,
    images,
    neuron,
    norm,
    ready,
    slayer,
    unit,
    values,
)
from live_slayer_resonators import KINDS, resonator

from hsnn.compiler import Options, compile
from hsnn.runtime.session import Session
from hsnn.verify.ladder import verify

FAMILIES = {**CLASSES, **KINDS}


def settings_of(kind, rng, last):
    """Random parameters of neurons, none at its default."""
    changes = {"tau_grad": 0.7, "scale_grad": 2.0, "scale": 1 << int(rng.integers(5, 8))}
    if kind in KINDS:
        changes |= {"period": float(rng.uniform(4, 12)), "decay": float(rng.uniform(0.02, 0.2))}
    elif kind != "sigma_delta":
        changes |= {name: float(rng.uniform(0.01, 0.6)) for name in ("current_decay", "voltage_decay")}
    if rng.random() < 0.5 and not last:
        changes["norm"] = norm.MeanOnlyBatchNorm
    low, high = (0.02, 0.1) if kind == "sigma_delta" else (0.2, 0.6) if kind in KINDS else (0.3, 1.2)
    changes["threshold"] = float(rng.uniform(low, high))
    changes["persistent_state"] = bool(rng.random() < 0.5)
    changes["dropout"] = slayer.neuron.Dropout(0.3)
    return {"cuba": neuron, "alif": adaptive, "sigma_delta": unit}.get(kind, resonator)(**changes)


def generated(seed):
    """A chain of two or three blocks, and its input."""
    rng = np.random.default_rng(seed)
    kind = tuple(FAMILIES)[seed % len(FAMILIES)]
    classes, image = FAMILIES[kind], seed % 2 == 0
    shape = (2, int(rng.integers(5, 9)), int(rng.integers(5, 9))) if image else (int(rng.integers(5, 14)),)

    def common(scale):
        return {
            "weight_scale": scale,
            "weight_norm": bool(rng.random() < 0.5),
            "delay": bool(rng.random() < 0.5),
            "delay_shift": bool(rng.random() < 0.5),
        }

    scale = 2 if kind == "sigma_delta" else 4
    blocks, features = [], shape[0]
    if image:
        groups = int(rng.integers(1, 3))
        window = {"stride": int(rng.integers(1, 3)), "padding": (1, int(rng.integers(0, 2))), "groups": groups}
        blocks = [
            classes.Conv(settings_of(kind, rng, False), 2, 4, (3, 2), **window, **common(scale)),
            classes.Pool(settings_of(kind, rng, True), 2, **common(1.5)),
            classes.Flatten(),
        ]
    else:
        blocks = [classes.Dense(settings_of(kind, rng, False), features, 10, **common(scale))]
        features = 10
        if kind == "cuba":
            recurrent = {**common(3), "delay_shift": True}
            blocks.append(cuba.Recurrent(settings_of(kind, rng, True), 10, 10, **recurrent))
    x = values(seed, *shape) * 4 if kind == "sigma_delta" else events(seed, *shape, rate=0.4)
    with torch.no_grad():
        y = Chain(*blocks)(x)
    blocks.append(classes.Dense(settings_of(kind, rng, True), y.shape[1], 6, **common(scale)))
    return Chain(*blocks), x


@pytest.mark.parametrize("seed", range(15))
def test_generated_models(seed):
    torch.manual_seed(seed)
    model, x = generated(seed)
    assert_equal(ready(model, x), x=x, spikes=False)
    with torch.no_grad():
        assert model(x).any()


MEAN = norm.MeanOnlyBatchNorm


@pytest.mark.lava
@pytest.mark.parametrize("kind", ["cuba", "rf", "rf_iz"])
def test_integers_are_those_of_slayer(kind):
    """Down the ladder to Lava: spikes of the chip are slayer's own, none flipped."""
    torch.manual_seed(0)
    x = events(30, 2, 7, 8)
    classes, first, second = FAMILIES[kind], resonator(threshold=0.3, norm=MEAN), resonator(threshold=0.3)
    if kind == "cuba":
        first, second = neuron(norm=MEAN), neuron(threshold=0.7, current_decay=0.6)
    model = ready(
        Chain(
            classes.Conv(first, 2, 6, 3, weight_scale=4, delay=True),
            classes.Flatten(),
            classes.Dense(second, 180, 16, weight_scale=2, weight_norm=True),
        ),
        x,
    )
    program = compile(model, x.numpy(), options=Options(golden_samples=BATCH))
    assert {layer["scale"] for layer in program.layers} == {4096.0}, program.layers
    report = verify(program, model=model, target="loihi2-sim")
    assert report.passed, report
    with torch.no_grad():
        expected = model(x).movedim(-1, 1).numpy()
    assert expected.any()
    with Session(program, target="emulator") as session:
        (found,) = session.run(x.numpy()).outputs.values()
    np.testing.assert_array_equal(found, expected)


def test_hybrid_compiles_from_its_class_and_keeps_its_outputs():
    torch.manual_seed(0)
    x = torch.cat([images(seed) for seed in range(8)])
    model = ready(Hybrid(), x)
    program = compile(model, x.numpy(), options=Options(golden_samples=4))
    assert verify(program, model=model, target="reference").passed
