"""Programs must agree with themselves; importing hsnn must cost nothing and reach nowhere it should not."""

from __future__ import annotations

import ast
import configparser
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hsnn
from hsnn.errors import ArtifactError
from hsnn.ir.plan import ModelValue
from hsnn.program import ChipInput, ChipOutput
from hsnn.validate import validate_program

ROOT = Path(__file__).parents[2]
HEAVY = (
    "torch",
    "lava",
    "matplotlib",
    "numba",
    "llvmlite",
    "onnxruntime",
    "onnx",
    "pydantic",
    "scipy",
    "onnxscript",
    "onnx_ir",
)


def with_stage(program, index, **changes):
    stages = list(program.stages)
    stages[index] = dataclasses.replace(stages[index], **changes)
    return dataclasses.replace(program, stages=tuple(stages))


def test_stages_tell_what_they_read_and_make(chain):
    assert [stage.reads for stage in chain.stages] == [("x",), ("spikes",), ("h", "v")]
    assert [stage.makes for stage in chain.stages] == [("spikes",), ("h", "v"), ("y",)]
    assert [stage.name for stage in chain.chip_stages] == ["chip.0"]
    assert [stage.name for stage in chain.host_stages] == ["host.0", "host.1"]


def test_valid_programs_pass(chain, diamond):
    validate_program(chain)
    validate_program(diamond)


def test_programs_are_frozen(chain):
    with pytest.raises(dataclasses.FrozenInstanceError):
        chain.stages = ()


BROKEN = {
    "two stages of one name": lambda p: with_stage(p, 2, name="host.0"),
    "stage without a name": lambda p: with_stage(p, 0, name=""),
    "slash in a stage's name": lambda p: with_stage(p, 0, name="a/b"),
    "value made by nobody": lambda p: with_stage(p, 2, inputs=("h", "v", "ghost")),
    "value read before it is made": lambda p: dataclasses.replace(p, stages=p.stages[::-1]),
    "value made twice": lambda p: with_stage(p, 2, outputs=("y", "h")),
    "value made over an input": lambda p: with_stage(p, 0, outputs=("spikes", "x")),
    "one output twice": lambda p: with_stage(p, 2, outputs=("y", "y")),
    "port not fed": lambda p: with_stage(p, 1, inputs=()),
    "port fed twice": lambda p: with_stage(p, 1, inputs=p.stages[1].inputs * 2),
    "port that is not there": lambda p: with_stage(p, 1, inputs=(ChipInput("spikes", "ghost", 1.0),)),
    "no such output": lambda p: with_stage(p, 1, outputs=(ChipOutput("h", "bias", 1.0), ChipOutput("v", "out", 1.0))),
    "scale of 0": lambda p: with_stage(p, 1, inputs=(ChipInput("spikes", "in", 0.0),)),
    "negative scale": lambda p: with_stage(p, 1, inputs=(ChipInput("spikes", "in", -1.0),)),
    "infinite scale": lambda p: with_stage(p, 1, inputs=(ChipInput("spikes", "in", float("inf")),)),
    "scale is NaN": lambda p: with_stage(
        p, 1, outputs=(ChipOutput("h", "hidden", float("nan")), ChipOutput("v", "out", 1.0))
    ),
    "output never made": lambda p: dataclasses.replace(p, outputs=(ModelValue("z", (None, 8), "float32"),)),
    "two batch axes": lambda p: dataclasses.replace(p, inputs=(ModelValue("x", (None, None), "float32"),)),
    "empty axis": lambda p: dataclasses.replace(p, inputs=(ModelValue("x", (None, 0), "float32"),)),
    "unknown dtype": lambda p: dataclasses.replace(p, inputs=(ModelValue("x", (None, 4), "float33"),)),
    "dtype that is no number": lambda p: dataclasses.replace(p, inputs=(ModelValue("x", (None, 4), "str"),)),
    "alias of a dtype": lambda p: dataclasses.replace(p, inputs=(ModelValue("x", (None, 4), "f4"),)),
    "input twice": lambda p: dataclasses.replace(p, inputs=p.inputs * 2),
    "output twice": lambda p: dataclasses.replace(p, outputs=p.outputs * 2),
    "spikes of no cut": lambda p: dataclasses.replace(p, cut_spikes={"ghost": 1.0}),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_contradictions_are_refused(chain, fault):
    with pytest.raises(ArtifactError) as caught:
        validate_program(BROKEN[fault](chain))
    assert caught.value.code == "HSNN-A001"


def test_import_is_light():
    code = f"import sys, hsnn; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_layers_that_errors_name_come_with_the_package():
    code = "import sys, hsnn; print('torch' in sys.modules, hsnn.nn.OverTime.__name__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "OverTime", "True"]


def test_import_takes_less_than_a_tenth_of_a_second():
    code = "import time; t = time.process_time(); import hsnn; print(time.process_time() - t)"
    best = min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    )
    assert best < 0.1


@pytest.mark.parametrize("name", hsnn.__all__)
def test_public_names_resolve(name):
    assert getattr(hsnn, name) is not None
    assert name in dir(hsnn)


def test_names_that_are_not_there():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = hsnn.nonsense


def imported_modules(file):
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_core_imports_neither_models_nor_targets():
    offenders = [
        (str(file), module)
        for file in sorted((ROOT / "toolchain" / "hsnn").rglob("*.py"))
        for module in imported_modules(file)
        if module.split(".")[0] in ("hsnn_models", "hsnn_targets")
    ]
    assert offenders == []


def test_running_never_imports_the_exporter():
    files = [
        *(ROOT / "toolchain/hsnn/runtime").rglob("*.py"),
        *(ROOT / "toolchain/hsnn/artifact").rglob("*.py"),
        *(ROOT / "toolchain/hsnn").glob("[epv]*.py"),
    ]
    roots = {module.split(".")[0] for file in files for module in imported_modules(file)}
    assert roots.isdisjoint({"torch", "onnx", "onnx_ir", "onnxscript", "lava"})
    assert {"hsnn", "numpy", "safetensors", "onnxruntime", "pydantic"} <= roots


def test_setup_lists_every_package():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = setup["options"]["packages"].split()
    assert len(listed) == len(set(listed))
    found = {
        ".".join(file.parent.relative_to(base).parts)
        for base in (ROOT / "toolchain", ROOT / "models", ROOT / "targets")
        for file in base.rglob("*.py")
    }
    assert sorted(found.symmetric_difference(listed)) == []


def test_packages_of_passes_import_each_other_in_one_direction():
    """Those of the docstring of hsnn.passes, each importing only those before it."""
    root = ROOT / "toolchain" / "hsnn" / "passes"
    order = re.findall(r"^``(\w+)``", (root / "__init__.py").read_text("utf-8"), re.M)
    assert {folder.name for folder in root.iterdir() if (folder / "__init__.py").exists()} == set(order)
    for place, package in enumerate(order):
        imported = {name for file in (root / package).glob("*.py") for name in imported_modules(file)}
        parts = {name.split(".")[2] for name in imported if name.startswith("hsnn.passes.")}
        assert parts <= {*order[: place + 1]}, package
