"""The images of the example models: honest splits, exact contents, clear errors."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hsnn.errors import UsageError
from hsnn_models import data, fashion_files, fetch_fashion


def small_fashion(folder: Path, monkeypatch: pytest.MonkeyPatch, *, train: int = 2003, test: int = 7) -> None:
    """Write four files of the published form with other images, and let their hashes count as right."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)
    contents = {}
    for part, count in (("train", train), ("t10k", test)):
        pixels = rng.integers(0, 256, (count, 28, 28), np.uint8)
        pixels[:, 0, 0], pixels[:, 0, 1] = np.arange(count) // 256, np.arange(count) % 256
        sizes = np.array([count, 28, 28], ">u4").tobytes()
        contents[f"{part}-images-idx3-ubyte"] = b"\0\0\x08\x03" + sizes + pixels.tobytes()
        labels = (np.arange(count) % 10).astype(np.uint8)
        contents[f"{part}-labels-idx1-ubyte"] = b"\0\0\x08\x01" + sizes[:4] + labels.tobytes()
    for name, content in contents.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        monkeypatch.setitem(fashion_files.CONTENTS, name, hashlib.sha256(content).hexdigest())


def numbers(images: data.Images) -> set[int]:
    """Return the position in its file that `small_fashion` wrote into each image."""
    corner = np.rint(images.images[:, 0, 0, :2] * 255).astype(int)
    return set((corner[:, 0] * 256 + corner[:, 1]).tolist())


def test_digits_splits_share_no_image_and_cover_the_set() -> None:
    parts = [data.digits(split) for split in ("train", "calibration", "test")]
    assert [len(part) for part in parts] == [1200, 100, 497]
    seen = [image.tobytes() for part in parts for image in part.images]
    assert len(set(seen)) == len(seen) == 1797


def test_digits_are_scaled_and_keep_their_labels() -> None:
    from sklearn.datasets import load_digits

    every = load_digits()
    known = {
        (image / 16).astype(np.float32).tobytes(): label
        for image, label in zip(every.images, every.target, strict=True)
    }
    test = data.digits("test")
    assert test.images.shape == (497, 1, 8, 8)
    assert test.images.dtype == np.float32
    assert test.labels.dtype == np.int64
    assert (test.images.min(), test.images.max()) == (0.0, 1.0)
    assert [known[image.tobytes()] for image in test.images] == test.labels.tolist()


def test_digits_splits_never_move() -> None:
    # The packed weights have been trained on this very split: another order would leak test images into it.
    digest = hashlib.sha256(data.digits("test").images.tobytes()).hexdigest()
    assert digest == "35eda3ee69c8a71b81ff4ae2515df8f571081a5c742f357c83f3aa692464af11"


@pytest.mark.parametrize("split", ["calibration", "test"])
def test_packed_subset_is_whole_and_labelled(split: str) -> None:
    images = data.fashion_subset(split)
    assert len(images) == {"calibration": 100, "test": 500}[split]
    assert images.images.shape[1:] == (1, 28, 28)
    assert images.images.dtype == np.float32
    assert images.images.min() == 0.0
    assert images.images.max() == 1.0
    assert set(images.labels.tolist()) == set(range(10))


def test_packed_subset_shares_no_image() -> None:
    every = [image.tobytes() for split in ("calibration", "test") for image in data.fashion_subset(split).images]
    assert len(set(every)) == 600


def test_packed_subset_is_the_start_of_the_full_set() -> None:
    try:
        folder = fashion_files.find(None)
    except UsageError:
        pytest.skip("the full Fashion-MNIST is not here; `make data` fetches it")
    for split in ("calibration", "test"):
        packed, full = data.fashion_subset(split), data.fashion(split, root=folder)
        np.testing.assert_array_equal(packed.images, full.images[: len(packed)])
        np.testing.assert_array_equal(packed.labels, full.labels[: len(packed)])


def test_fashion_splits_share_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_fashion(tmp_path / "f", monkeypatch)
    train, calibration, test = (data.fashion(split, root=tmp_path / "f") for split in ("train", "calibration", "test"))
    assert (len(train), len(calibration), len(test)) == (3, 2000, 7)
    assert numbers(train) | numbers(calibration) == set(range(2003))
    assert test.labels.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_fashion_is_found_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_fashion(tmp_path / "fashion-mnist", monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fashion_files, "_DEBIAN", tmp_path / "nowhere")
    with pytest.raises(UsageError, match="HSNN-U203"):
        data.fashion("test")
    monkeypatch.setenv("HSNN_DATA", str(tmp_path))
    assert len(data.fashion("test")) == 7


@pytest.mark.parametrize("load", [data.digits, data.fashion])
def test_unknown_split(load) -> None:
    with pytest.raises(UsageError, match="HSNN-U201"):
        load("validation")


def test_subset_has_nothing_to_train_on() -> None:
    with pytest.raises(UsageError, match="HSNN-U201"):
        data.fashion_subset("train")


def test_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_fashion(tmp_path / "f", monkeypatch)
    (tmp_path / "f" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UsageError, match="HSNN-U203") as caught:
        data.fashion("train", root=tmp_path / "f")
    assert str(tmp_path / "f") in caught.value.found
    assert "t10k-labels-idx1-ubyte.gz" in caught.value.allowed


@pytest.mark.parametrize("damage", ["truncated", "not gzip", "flipped", "other content", "empty"])
def test_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    small_fashion(tmp_path / "f", monkeypatch)
    path = tmp_path / "f" / "t10k-images-idx3-ubyte.gz"
    packed = path.read_bytes()
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 255
    path.write_bytes(
        {
            "truncated": packed[: len(packed) // 2],
            "not gzip": gzip.decompress(packed),
            "flipped": bytes(flipped),
            "other content": gzip.compress(gzip.decompress(packed)[:-1] + b"x"),
            "empty": b"",
        }[damage]
    )
    with pytest.raises(UsageError, match="HSNN-U204") as caught:
        data.fashion("test", root=tmp_path / "f")
    assert str(path) in caught.value.found


def test_damaged_subset(tmp_path: Path) -> None:
    path = tmp_path / "subset.safetensors"
    path.write_bytes(fashion_files.SUBSET.read_bytes()[:-1])
    with pytest.raises(UsageError, match="HSNN-U204"):
        fashion_files.load_subset("test", path=path)
    with pytest.raises(UsageError, match="HSNN-U203"):
        fashion_files.load_subset("test", path=tmp_path / "missing")


def test_first_is_cut_at_the_end() -> None:
    images = data.fashion_subset("calibration")
    assert len(images.first(3)) == 3
    assert len(images.first(1000)) == 100


def test_fetch_leaves_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_fashion(tmp_path / "f", monkeypatch)
    monkeypatch.setattr(shutil, "which", lambda name: pytest.fail("nothing is to be fetched"))
    fetch_fashion.fetch(tmp_path / "f")


def test_fetch_without_apt_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="HSNN-U207") as caught:
        fetch_fashion.fetch(tmp_path / "f")
    assert all(f"{name}.gz" in caught.value.fix for name in fashion_files.CONTENTS)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("status", "stderr", "reason"),
    [(100, "W: old\nE: Unable to locate package", "E: Unable to locate package"), (2, "", "no reason given")],
)
def test_failed_fetch_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, stderr: str, reason: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, status, "", stderr)
    )
    with pytest.raises(UsageError, match="HSNN-U207") as caught:
        fetch_fashion.fetch(tmp_path / "new" / "f")
    assert reason in caught.value.found
    assert list((tmp_path / "new").iterdir()) == []


def test_fetched_files_are_proven_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], *, cwd: Path, **_: object) -> subprocess.CompletedProcess[str]:
        unpacked = cwd / "usr/share/datasets/fashion-mnist"
        unpacked.mkdir(parents=True, exist_ok=True)
        for name in fashion_files.CONTENTS:
            (unpacked / f"{name}.gz").write_bytes(gzip.compress(b"something else"))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(UsageError, match="HSNN-U207"):
        fetch_fashion.fetch(tmp_path / "f")
    assert list(tmp_path.iterdir()) == []
