from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hsnn.errors import UsageError
from hsnn_models.colanet import features
from hsnn_models.colanet.features import CHUNK, Encoder, extract


class Net(nn.Module):
    """A convolutional feature extractor."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 5, 3)

    def forward(self, x):
        return torch.relu(self.convolution(x)).mean((2, 3))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((CHUNK + 30, 1, 6, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def encoder(net, images):
    return Encoder.from_torch(net, images[:2])


@pytest.fixture
def runs(monkeypatch):
    """Count the images that ONNX Runtime is given."""
    counted = []
    run = features._run

    def watch(session, chunk, batch):
        counted.append(len(chunk))
        return run(session, chunk, batch)

    monkeypatch.setattr(features, "_run", watch)
    return counted


def refused(code, call, *args, **kwargs):
    with pytest.raises(UsageError) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code
    return str(caught.value)


def test_features_are_those_of_torch(net, encoder, images):
    with torch.no_grad():
        expected = net(torch.from_numpy(images)).numpy()
    told = []
    found = extract(encoder, images, batch=7, threads=1, progress=lambda *numbers: told.append(numbers))
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=1e-6)
    assert told == [(0, CHUNK + 30), (CHUNK, CHUNK + 30), (CHUNK + 30, CHUNK + 30)]


def test_kept_features_are_not_computed_again(encoder, images, tmp_path, runs):
    first = extract(encoder, images, cache=tmp_path, threads=1)
    again = extract(encoder, images, cache=tmp_path, threads=1)
    assert runs == [CHUNK, 30]
    assert first.tobytes() == again.tobytes()


def test_an_interrupted_run_goes_on(encoder, images, tmp_path, runs):
    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(encoder, images, cache=tmp_path, threads=1, progress=stop)
    extract(encoder, images, cache=tmp_path, threads=1)
    assert runs == [CHUNK, 30]


def test_other_images_or_another_network_find_nothing(encoder, images, tmp_path, runs):
    extract(encoder, images[:30], cache=tmp_path, threads=1)
    extract(encoder, images[:30] * np.float32(0.5), cache=tmp_path, threads=1)
    extract(Encoder(encoder.model, "0" * 64), images[:30], cache=tmp_path, threads=1)
    assert runs == [30, 30, 30]


def test_damaged_files_are_made_again(encoder, images, tmp_path, runs):
    first = extract(encoder, images[:30], cache=tmp_path, threads=1)
    (path,) = tmp_path.glob("*.npy")
    path.write_bytes(path.read_bytes()[:-9])
    assert extract(encoder, images[:30], cache=tmp_path, threads=1).tobytes() == first.tobytes()
    assert runs == [30, 30]
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_a_network_is_exported_once(net, images, tmp_path, monkeypatch):
    first = Encoder.from_torch(net, images[:2], cache=tmp_path)
    monkeypatch.setattr(features, "_exported", lambda *_: pytest.fail("exported again"))
    assert Encoder.from_torch(net, images[:2], cache=tmp_path).digest == first.digest


def test_an_onnx_file_is_an_encoder_too(encoder, images, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(encoder.model)
    assert np.array_equal(extract(Encoder.from_onnx(path), images[:9], threads=1), extract(encoder, images[:9]))
    refused("HSNN-U221", Encoder.from_onnx, tmp_path / "other.onnx")
    refused("HSNN-U221", extract, Encoder(b"no model", "0"), images[:9])
    refused("HSNN-U221", extract, encoder, np.zeros((2, 3, 6, 6), np.float32))


def test_features_that_are_no_numbers_are_refused(encoder, images, tmp_path):
    bad = images[:12].copy()
    bad[7] = np.nan
    assert "sample 7" in refused("HSNN-U222", extract, encoder, bad, cache=tmp_path, threads=1)
