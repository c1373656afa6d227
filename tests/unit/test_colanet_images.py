from __future__ import annotations

import numpy as np
import pytest

from hsnn.errors import UsageError
from hsnn_models.colanet.images import load_folder, load_picture, main

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def folder(tmp_path):
    """Two classes, three PNG files each, grey, 8 by 8."""
    rng = np.random.default_rng(0)
    for name in ("boat", "ant"):
        (tmp_path / name).mkdir()
        for k in range(3):
            Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / name / f"{k}.png")
    return tmp_path


def refused(code, call, *args, **kwargs):
    with pytest.raises(UsageError) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code
    return str(caught.value)


def test_pictures_of_the_right_size_are_taken_as_they_are(folder):
    found = load_folder(folder, side=8, channels=1)
    assert found.classes == ("ant", "boat")
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    expected = np.asarray(Image.open(folder / "ant" / "0.png"), np.float32) / 255
    assert np.array_equal(found.images[0, 0], expected)
    assert found.images.shape == (6, 1, 8, 8)


def test_photographs_are_cropped_around_their_centre(folder):
    pixels = np.zeros((256, 400, 3), np.uint8)
    pixels[:, 72 + 16 : 328 - 16] = (255, 0, 0)
    Image.fromarray(pixels).save(folder / "ant" / "photo.jpg", quality=95)
    found = load_picture(folder / "ant" / "photo.jpg")
    assert found.shape == (3, 224, 224)
    assert found[0, :, 4:-4].min() > 0.9
    assert found[1].max() < 0.15


def test_what_is_wrong_is_told(folder, tmp_path):
    (folder / "cat").mkdir()
    assert "class cat" in refused("HSNN-U228", load_folder, folder)
    (folder / "cat" / "0.png").write_bytes((folder / "ant" / "0.png").read_bytes()[:50])
    assert "0.png" in refused("HSNN-U228", load_folder, folder)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "cat" / "0.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "stray.png")
    assert "no label" in refused("HSNN-U228", load_folder, folder)
    refused("HSNN-U228", load_folder, tmp_path / "nowhere")
    refused("HSNN-U228", load_folder, folder / "ant")


def test_the_command_packs_what_hsnn_compile_takes(folder, tmp_path, capsys):
    assert main([str(folder), str(tmp_path / "out.npz"), "--side", "8", "--channels", "1"]) == 0
    with np.load(tmp_path / "out.npz") as file:
        assert file["images"].shape == (6, 1, 8, 8)
        assert file["labels"].tolist() == [0, 0, 0, 1, 1, 1]
    assert "0 ant, 1 boat" in capsys.readouterr().err
    assert main([str(folder / "ant"), str(tmp_path / "out.npz")]) == 2
    assert "HSNN-U228" in capsys.readouterr().err
