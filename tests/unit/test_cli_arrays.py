"""Samples and labels from files."""

from __future__ import annotations

import contextlib
import os
import warnings
import zipfile

import numpy as np
import pytest

from hsnn.commands import arrays
from hsnn.errors import UsageError
from support.refusals import code_of


def test_arrays_are_read_by_name(samples):
    x, labels = samples
    read = arrays.load_arrays("data.npz", "input")
    assert set(read) == {"x", "labels"}
    np.testing.assert_array_equal(read["x"], x)
    np.testing.assert_array_equal(arrays.load_arrays("x.npy", "input")[""], x)
    os.rename("data.npz", "data.bin")
    np.testing.assert_array_equal(arrays.load_arrays("data.bin", "input")["labels"], labels)


def test_what_is_no_file_of_arrays_is_refused(folder):
    (folder / "text.npz").write_text("one,two\n")
    (folder / "empty.npz").write_bytes(b"")
    np.savez("objects.npz", x=np.array([{"a": 1}, None], dtype=object))
    np.save("object.npy", np.array([[1], [1, 2]], dtype=object))
    np.savez("none.npz")
    with zipfile.ZipFile("other.npz", "w") as archive:
        archive.writestr("notes.txt", "hello")
    assert code_of(arrays.load_arrays, "ghost.npz", "input") == "HSNN-U120"
    assert code_of(arrays.load_arrays, ".", "input") == "HSNN-U120"
    assert code_of(arrays.load_arrays, "text.npz", "input") == "HSNN-U121"
    assert code_of(arrays.load_arrays, "empty.npz", "input") == "HSNN-U121"
    assert code_of(arrays.load_arrays, "other.npz", "input") == "HSNN-U121"
    assert code_of(arrays.load_arrays, "objects.npz", "input") == "HSNN-U122"
    assert code_of(arrays.load_arrays, "object.npy", "input") == "HSNN-U122"
    assert code_of(arrays.load_arrays, "none.npz", "input") == "HSNN-U123"


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_refused_with_a_code(folder, packed):
    """Cut short at every length, and with bytes flipped, a file is read or refused; nothing else comes out."""
    save = np.savez_compressed if packed else np.savez
    save("sound.npz", x=np.arange(12, dtype=np.float32).reshape(3, 4), y=np.arange(3))
    np.save("sound.npy", np.arange(12))
    rng = np.random.default_rng(0)
    for name in ("sound.npz", "sound.npy"):
        data = (folder / name).read_bytes()
        damaged = [data[:length] for length in range(0, len(data), 3)]
        for _ in range(150):
            changed = bytearray(data)
            for position in rng.integers(0, len(data), 2):
                changed[position] = int(rng.integers(0, 256))
            damaged.append(bytes(changed))
        for content in damaged:
            (folder / "damaged.npz").write_bytes(content)
            with warnings.catch_warnings(), contextlib.suppress(UsageError, MemoryError):
                warnings.simplefilter("ignore")
                arrays.load_arrays("damaged.npz", "input")


def test_inputs_are_chosen_by_name_or_because_they_are_alone():
    x, y, labels = np.zeros(2), np.ones(2), np.arange(2)

    def select(held, names, **more):
        return arrays.select_inputs(held, names, path="f.npz", what="input", **more)

    assert select({"": x}, ["image"])["image"] is x
    assert select({"pictures": x}, ["image"])["image"] is x
    assert select({"image": x, "labels": labels}, ["image"]).keys() == {"image"}
    assert select({"pictures": x, "labels": labels}, ["image"], ignore=["labels"])["image"] is x
    assert select({"b": x, "a": y}, ["a", "b"])["a"] is y
    for held, names in [({"p": x, "q": y}, ["image"]), ({"a": x}, ["a", "b"]), ({"": x}, ["a", "b"])]:
        assert code_of(select, held, names) == "HSNN-U124"
    assert code_of(select, {"labels": labels}, ["image"], ignore=["labels"]) == "HSNN-U124"


def test_labels_are_checked_before_anything_runs():
    def select(held, key=None, samples=3, classes=10):
        return arrays.select_labels(held, key, path="f.npz", samples=samples, classes=classes)

    good = np.array([0, 9, 3], np.uint8)
    assert select({"": good}) is good
    assert select({"a": good, "b": good[:2]}, "a") is good
    assert code_of(select, {"a": good, "b": good}) == "HSNN-U126"
    assert code_of(select, {"a": good}, "b") == "HSNN-U126"
    assert code_of(select, {"a": good.astype(np.float32)}) == "HSNN-U127"
    assert code_of(select, {"a": good.reshape(3, 1)}) == "HSNN-U127"
    assert code_of(select, {"a": good}, classes=9) == "HSNN-U127"
    assert code_of(select, {"a": np.array([0, -1, 2])}) == "HSNN-U127"
    assert code_of(select, {"a": good}, samples=4) == "HSNN-U125"


def test_a_file_that_may_not_be_read_is_not_called_damaged(folder, monkeypatch):
    (folder / "x.npy").write_bytes(b"")

    def refuse(*arguments, **more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(UsageError, match="HSNN-U121") as raised:
        arrays.load_arrays("x.npy", "input")
    assert raised.value.fix == "check its rights"
