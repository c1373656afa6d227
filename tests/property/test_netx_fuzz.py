"""Mutated .net files: always an error with a code or a network, in bounded time and memory."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest

from hsnn.errors import HsnnError
from hsnn.frontends.netx.build import NetxOptions, build
from hsnn.frontends.netx.extract import DamagedError, extract
from hsnn.frontends.netx.read import parse_arrays, read_net
from hsnn.verify.netx_files import CUBA, arrays_of, conv, dense, even, write_net
from support.hdf5_damage import edits, entries

h5py = pytest.importorskip("h5py")

FILES, VALUES, EDITED, WHOLE = 400, 400, 120, 4
LAYERS = (
    {"type": b"input", "shape": [2, 6, 6], "weight": 40.0, "bias": 6.0, **CUBA},
    conv(0, 2, (3, 4, 4), 3, bias=even(1, 3), delay=np.array([0.0, 1.0, 2.0])),
    {"type": b"flatten", "shape": [48]},
    dense(2, 48, 6, weight_rec=even(3, 6, 6), type=b"dense_rec"),
    {"type": b"average", "shape": [2]},
)

# Runs in a child with the limits of the reader, since the HDF5 library may end the process that it is in.
SCRIPT = """
import io, sys, time
import numpy as np
from hsnn.frontends.netx import extract as reader
reader._limit()
whole = open(sys.argv[1], "rb").read()
generator = np.random.default_rng(int(sys.argv[3]))
slowest = read = 0
for index in range(int(sys.argv[3]), int(sys.argv[4])):
    generator = np.random.default_rng(index)
    data = bytearray(whole)
    if index % 4 == 0:
        data = data[: generator.integers(len(data))]
    for place in generator.integers(len(data), size=generator.integers(1, 9)) if data else ():
        # Most bytes are weights; half of the changes go where the structure is.
        place = int(place) if generator.random() < 0.5 else int(place) % 2048
        data[min(place, len(data) - 1)] = generator.choice([0, 1, 127, 128, 255, generator.integers(256)])
    open(sys.argv[2], "wb").write(data)
    print(index, flush=True)
    start = time.perf_counter()
    try:
        read += bool(reader.extract(sys.argv[2]))
    except (reader.DamagedError, MemoryError):
        pass
    slowest = max(slowest, time.perf_counter() - start)
print("done", read, slowest, flush=True)
"""


def test_damaged_files_end_with_a_reason(tmp_path):
    """Bytes are changed or cut off. Where the library itself crashes, the child goes on behind that file."""
    path = write_net(tmp_path / "whole.net", LAYERS)
    begin, crashes = 0, 0
    while begin < FILES:
        command = [sys.executable, "-c", SCRIPT, str(path), str(tmp_path / "mutant.net"), str(begin), str(FILES)]
        child = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        last = child.stdout.split("\n")[-2]
        if last.startswith("done"):
            _, read, slowest = last.split()
            assert float(slowest) < 30
            assert int(read) < FILES
            break
        assert child.returncode < 0, child.stderr
        crashes, begin = crashes + 1, int(last) + 1
    assert crashes < FILES // 20


def test_a_crash_of_the_library_is_an_error_with_a_code(tmp_path, monkeypatch):
    path = write_net(tmp_path / "whole.net", LAYERS)
    crash = "import os; os.abort()"
    monkeypatch.setattr("hsnn.frontends.netx.raw.MODULE", ("-c", crash))
    with pytest.raises(HsnnError) as caught:
        read_net(path)
    assert caught.value.code == "HSNN-F070"


def test_a_reader_that_hangs_is_ended(tmp_path, monkeypatch):
    path = write_net(tmp_path / "whole.net", LAYERS)
    monkeypatch.setattr("hsnn.frontends.netx.raw.MODULE", ("-c", "import time; time.sleep(60)"))
    monkeypatch.setattr("hsnn.frontends.netx.raw.SECONDS", 1)
    start = time.perf_counter()
    with pytest.raises(HsnnError) as caught:
        read_net(path)
    assert caught.value.code == "HSNN-F070"
    assert time.perf_counter() - start < 30


@pytest.mark.parametrize("seed", range(WHOLE))
def test_damaged_files_through_the_front_door(tmp_path, seed):
    data = bytearray(write_net(tmp_path / "whole.net", LAYERS).read_bytes())
    generator = np.random.default_rng(seed)
    data[8 * generator.integers(12)] ^= 1 << generator.integers(8)
    (tmp_path / "mutant.net").write_bytes(data[: len(data) - generator.integers(2) * 100])
    codes = {""}
    try:
        build(read_net(tmp_path / "mutant.net"), NetxOptions())
    except HsnnError as error:
        codes.add(error.code[:-2])
    assert codes <= {"", "HSNN-F0"}


ODD = (np.nan, np.inf, -np.inf, -1, 0, 1, 3, 2**31, -(2**62), 1e300, 0.5, 129)


def mutate(arrays, generator):
    """Change, drop, add, resize or retype one field."""
    names = sorted(arrays)
    name = names[generator.integers(len(names))]
    array = arrays[name]
    match generator.integers(7):
        case 0:
            del arrays[name]
        case 1:
            arrays[name.rpartition("/")[0] + "/" + names[generator.integers(len(names))].rpartition("/")[2]] = array
        case 2:
            arrays[name] = array[None] if array.ndim < 5 else array.reshape(-1)
        case 3:
            arrays[name] = np.resize(array, int(generator.integers(0, 9)))
        case 4:
            arrays[name] = np.array(b"dense", "S256") if array.dtype.kind != "S" else np.array(generator.integers(9))
        case 5 if array.dtype.kind in "fiu":
            changed = np.atleast_1d(array).astype(np.float64)
            changed.reshape(-1)[generator.integers(changed.size)] = generator.choice(ODD)
            arrays[name] = changed.reshape(array.shape)
        case _:
            kinds = (b"conv", b"pool", b"SDNN", b"RF_PHASE", b"ALIF", b"", b"\xff", b"convT", b"dense", b"concat")
            texts = [item for item in names if item.endswith("type")]
            arrays[texts[generator.integers(len(texts))]] = np.array(kinds[generator.integers(len(kinds))], "S256")
    return arrays


def test_damaged_values_are_errors_with_a_code_or_a_network():
    """Files whose HDF5 is whole, but whose fields are not what they should be."""
    codes = set()
    start = time.perf_counter()
    for seed in range(VALUES):
        generator = np.random.default_rng(seed)
        arrays = arrays_of(LAYERS)
        for _ in range(generator.integers(1, 4)):
            arrays = mutate(arrays, generator)
        try:
            build(parse_arrays(arrays), NetxOptions())
            codes.add("")
        except HsnnError as error:
            codes.add(error.code)
    assert codes == {"", "HSNN-F071", "HSNN-F072", "HSNN-F074"}
    assert time.perf_counter() - start < 120


def test_edited_files_are_errors_with_a_code_or_a_network(tmp_path):
    """Huge declared sizes, cycles, links, other types: files that HDF5 itself opens."""
    data = write_net(tmp_path / "whole.net", LAYERS).read_bytes()
    path, changes, outcomes = tmp_path / "edited.net", edits("/layer"), []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    for seed in range(EDITED):
        generator = np.random.default_rng(seed)
        path.write_bytes(data)
        with h5py.File(path, "r+") as file:
            for _ in range(generator.integers(1, 3)):
                parent, leaf = str(generator.choice(entries(file))).rsplit("/", 1)
                with suppress(ValueError, KeyError, RuntimeError):  # What was changed before leads nowhere.
                    changes[generator.integers(len(changes))](file, file[parent or "/"], leaf, generator)
        try:
            build(parse_arrays(extract(str(path))), NetxOptions())
            outcomes.append("")
        except DamagedError:
            outcomes.append("HSNN-F070")
        except HsnnError as error:
            outcomes.append(error.code)
    assert {"", "HSNN-F070", "HSNN-F071"} <= set(outcomes) <= {"", *(f"HSNN-F07{digit}" for digit in "0124")}
    assert outcomes.count("") < EDITED // 2
    assert time.perf_counter() - start < 120
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10
