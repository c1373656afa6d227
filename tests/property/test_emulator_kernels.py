"""Kernels: what they are called with, what their machine code depends on, and where it is kept."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from hsnn.verify.random_networks import random_network
from hsnn_targets.emulator import TARGET, kernel_compiler, object_store, sources
from hsnn_targets.emulator.arguments import describe, take_apart
from hsnn_targets.emulator.kernel import Kernel

EXAMPLE = """\
from typing import NamedTuple
import numpy as np
from hsnn_targets.emulator.jit import kernel, routine


class Inside(NamedTuple):
    matrix: np.ndarray
    factor: int


class Outside(NamedTuple):
    inside: Inside
    records: np.ndarray


@routine
def scale(inside, i, j) -> int:
    return inside.matrix[i, j] * inside.factor


@kernel
def example(nothing, outside, adds, out):
    if nothing is not None:
        return
    inside = outside.inside
    for i in range(inside.matrix.shape[0]):
        for j in range(inside.matrix.shape[1]):
            value = scale(inside, i, j) - outside.records[i]["b"]
            out[i, j] = out[i, j] + value if adds else value
"""


@pytest.fixture
def example(tmp_path, monkeypatch):
    write_long_ago(tmp_path / "kernel_example.py", EXAMPLE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HSNN_CACHE", str(tmp_path / "cache"))
    import kernel_example

    yield kernel_example
    del sys.modules["kernel_example"]


def test_arguments_of_all_kinds_arrive(example, tmp_path):
    rng = np.random.default_rng(0)
    records = np.zeros(3, np.dtype([("a", np.int64), ("b", np.int64)]))
    records["a"], records["b"] = rng.integers(-9, 9, (2, 3))
    matrix = rng.integers(-100, 100, (3, 5)).astype(np.int32)
    matrix.flags.writeable = False
    out = np.zeros((3, 5), np.int64)
    expected = 7 * matrix.astype(np.int64) - records["b"][:, None]
    outside = example.Outside(example.Inside(matrix, 7), records)
    kernel = Kernel("kernel_example", "example")
    for argument in (outside, take_apart(outside)):
        kernel(None, argument, False, out)
        np.testing.assert_array_equal(out, expected)
    kernel(None, outside, True, out)
    np.testing.assert_array_equal(out, 2 * expected)
    again = np.zeros_like(out)
    Kernel("kernel_example", "example")(None, outside, False, again)  # from the file
    np.testing.assert_array_equal(again, expected)
    assert len(list((tmp_path / "cache").glob("example.*.kernel"))) == 1


class Pair(NamedTuple):
    first: object
    second: object


def test_kinds_tell_types_apart():
    whole, array = np.int32(1), np.zeros(3, np.int32)
    values = (None, 1, True, array, array.astype(np.int64), array[:, None], Pair(1, 2), (1, 2), Pair(1, None))
    found = [describe(take_apart(value).kind) for value in values]
    assert len(set(found)) == len(values)
    assert describe(take_apart(whole).kind) == describe(take_apart(1 << 40).kind)


@pytest.mark.parametrize("value", [np.zeros((3, 4))[:, ::2], np.zeros((3, 4)).T, 1.5, "text"])
def test_arguments_that_kernels_do_not_take(value):
    with pytest.raises(TypeError, match="kernels take"):
        take_apart((1, value))


def test_machine_code_depends_on_what_it_is_made_from_and_not_on_planning():
    def names(*modules):
        found = sources.sources_of(*(f"hsnn_targets.emulator.{module}" for module in modules))
        return {Path(file).stem for file in found}

    run = names("kernels", "kernel_compiler")
    assert run >= {"kernels", "events", "neurons", "synapses", "messages", "vector_lif", "vector_product", "jit"}
    assert run >= {"instructions_amx", "instructions_avx2", "instructions_avx512", "lowering", "memory_ir", "tables"}
    assert run >= {"kernel_compiler", "arguments", "arithmetic"}
    assert not run & {"plan", "pack", "vector_plan", "vector_pack", "results", "machine", "costs", "dynamics", "rows"}
    assert names("lesson_kernels") >= {"lesson_kernels", "lesson_rules", "neurons"}
    assert not names("lesson_kernels") & {"lesson_plan", "vector_kernels"}


def test_sources_are_followed_through_imports(tmp_path, monkeypatch):
    package = tmp_path / "followed"
    package.mkdir()
    (package / "__init__.py").write_text("from followed import planning")
    (package / "top.py").write_text(
        "from typing import TYPE_CHECKING\nimport numpy\nfrom followed.names import NAME\n"
        "if TYPE_CHECKING:\n    from followed.planning import Type\n"
        "def late():\n    from followed import module\n"
    )
    for name in ("names", "planning", "module"):
        (package / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sources, "PACKAGES", ("followed",))
    files = sources.sources_of("followed.top")
    assert [Path(file).stem for file in files] == ["module", "names", "top"]
    before = sources.digest(files)
    (package / "planning.py").write_text("changed")
    assert sources.digest(files) == before
    (package / "names.py").write_text("NAME = 1")
    assert sources.digest(files) != before


def write_long_ago(file, text):
    """Write a source before this process began."""
    file.write_text(text)
    os.utime(file, (0, 0))


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A compiler that counts, and one source file that code is made from."""
    made = []
    source = tmp_path / "source.py"
    write_long_ago(source, "one")

    def compile_kernel(module, name, kinds):
        time.sleep(0.1)
        made.append(name)
        return f"code {len(made)}\n\n of {name}".encode()

    monkeypatch.setenv("HSNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kernel_compiler, "compile_kernel", compile_kernel)
    monkeypatch.setattr(object_store, "sources_of", lambda *modules: (str(source),))
    return made, source


def fetch(*values):
    return object_store.fetch("module", "name", [take_apart(value).kind for value in values])


def test_making_code_is_told_once(compiler, caplog):
    object_store._tell.cache_clear()
    caplog.set_level("INFO", "hsnn")
    fetch(1)
    fetch(None)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "compiling the emulator's kernels for this processor"
    ]
    object_store._tell.cache_clear()
    fetch(1)
    assert len(caplog.records) == 1  # nothing was made


def test_code_is_kept_for_each_kind_of_arguments(compiler):
    made, _ = compiler
    assert fetch(1) == fetch(2) == b"code 1\n\n of name"
    assert fetch(None) == b"code 2\n\n of name"
    assert fetch(1) == b"code 1\n\n of name"
    assert len(made) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[:20],
        lambda content: content.replace(b"code 1", b"code 9"),
        lambda content: content.split(b"\n", 1)[1],
        lambda content: b"[]\n" + content.split(b"\n", 1)[1],
        lambda content: b"{}\n" + content.split(b"\n", 1)[1],
    ],
)
def test_a_damaged_file_is_made_again(damage, compiler, tmp_path):
    made, _ = compiler
    fetch(1)
    [file] = (tmp_path / "cache").glob("*.kernel")
    file.write_bytes(damage(file.read_bytes()))
    assert fetch(1) == b"code 2\n\n of name"
    assert fetch(1) == b"code 2\n\n of name"
    assert len(made) == 2


def test_changed_sources_make_new_code_in_the_same_place(compiler, tmp_path):
    _, source = compiler
    fetch(1)
    write_long_ago(source, "two")
    assert fetch(1) == fetch(1) == b"code 2\n\n of name"
    source.unlink()
    assert len(list((tmp_path / "cache").glob("*.kernel"))) == 1


def test_another_processor_or_compiler_has_code_of_its_own(compiler, monkeypatch):
    made, _ = compiler
    fetch(1)
    monkeypatch.setattr(object_store.binding, "get_host_cpu_name", lambda: "another")
    fetch(1)
    monkeypatch.setattr(object_store, "version", lambda package: "another")
    fetch(1)
    monkeypatch.setattr(object_store.sys.implementation, "cache_tag", "another")
    fetch(1)
    assert len(made) == 4


def test_code_of_modules_that_changed_since_they_were_imported_is_not_kept(compiler, tmp_path):
    """It would be kept under the digest of the new sources, for every later process."""
    _, source = compiler
    source.write_text("two")
    assert (fetch(1), fetch(1)) == (b"code 1\n\n of name", b"code 2\n\n of name")
    assert not list((tmp_path / "cache").glob("*.kernel"))


@pytest.mark.skipif(sys.platform == "win32", reason="files have other owners there")
@pytest.mark.usefixtures("compiler")
def test_code_that_strangers_may_have_written_does_not_run(tmp_path):
    fetch(1)
    [file] = (tmp_path / "cache").glob("*.kernel")
    file.chmod(0o666)
    assert fetch(1) == b"code 2\n\n of name"
    assert fetch(1) == b"code 2\n\n of name"
    assert object_store._trusted(file.stat())
    stranger = os.stat_result((0o100644, 1, 1, 1, 4321, *file.stat()[5:]))
    assert not object_store._trusted(stranger)


@pytest.mark.usefixtures("compiler")
def test_what_a_killed_process_left_is_removed(tmp_path):
    fetch(1)
    [file] = (tmp_path / "cache").glob("*.kernel")
    rest = file.with_name(f"{file.name}.abc.part")
    rest.write_bytes(b"half")
    file.unlink()
    assert fetch(1) == b"code 2\n\n of name"
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".kernel", ".lock"]


def test_code_that_somebody_is_making_is_waited_for(compiler):
    made, _ = compiler
    threads = [threading.Thread(target=fetch, args=(1,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


@pytest.mark.usefixtures("compiler")
def test_where_nothing_can_be_written_code_is_made_every_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HSNN_CACHE", str(tmp_path / "file"))
    assert (fetch(1), fetch(1)) == (b"code 1\n\n of name", b"code 2\n\n of name")


def test_without_a_choice_code_lies_beside_the_sources_or_with_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("HSNN_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    beside, user = object_store.folders()
    assert beside == Path(object_store.__file__).parent / "__pycache__"
    assert user == tmp_path / "hsnn"


def test_a_later_process_needs_no_compiler():
    TARGET.load(random_network(0))
    code = (
        "import sys; from hsnn.verify.random_networks import random_inputs, random_network\n"
        "from hsnn_targets.emulator import TARGET\n"
        "network = random_network(0); TARGET.load(network).run(random_inputs(network, 1, 0))\n"
        "print('hsnn_targets.emulator.kernel_compiler' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
