"""A library that is not installed is named, with what installs it, in Python as on the command line."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

import hsnn
from hsnn import nn as snn
from hsnn.errors import HsnnError, MissingLibraryError
from hsnn.frontends.torch_load import load_factory
from hsnn.libraries import LIBRARIES, OF_MODELS, missing_library, named_if_missing

TORCH = "pip install 'hsnn[torch]'"
USES = {
    "nn": ("torch", "from hsnn import nn", TORCH),
    "hsnn.nn": ("torch", "import hsnn; hsnn.nn.OverTime", TORCH),
    "register_neuron": ("torch", "import hsnn; hsnn.register_neuron", TORCH),
    "live": ("torch", "from hsnn.frontends.live import LiveNeuron", TORCH),
    "check": (
        "onnx_ir",
        "import hsnn, torch; hsnn.check(torch.nn.Linear(2, 2), example_inputs=(torch.zeros(1, 2),))",
        TORCH,
    ),
    "compile": (
        "onnxscript",
        "import hsnn, torch; hsnn.compile(torch.nn.Linear(2, 2), torch.zeros(1, 2).numpy())",
        TORCH,
    ),
    "compile onnx": ("onnx", "import hsnn; hsnn.compile('net.onnx', [])", TORCH),
    "load": ("pydantic", "import hsnn; hsnn.load('net.hsnn')", "pip install pydantic"),
    "save": (
        "pydantic",
        "from hsnn.program import Program, Metadata as M; Program((), (), (), M('', '')).save('x')",
        "",
    ),
    "artifact": ("pydantic", "from hsnn.artifact import load", "pip install pydantic"),
    "a part of it": ("pydantic", "import hsnn.artifact.codec", "pip install pydantic"),
    "artifact load": ("safetensors", "import hsnn; hsnn.load(ARTIFACT)", "pip install safetensors"),
    "torch front end": ("torch", "import hsnn.frontends.torch", TORCH),
    "a part of the layers": ("torch", "import hsnn.nn.neurons", TORCH),
    "models": ("torch", "import hsnn_models.digits", TORCH),
    "CoLaNET": ("numba", "import hsnn_models.colanet.fast", TORCH),
    "onnx front end": ("onnx", "import hsnn.frontends.onnx", TORCH),
    "render": ("jinja2", "import hsnn; from hsnn.report.html import render; render(hsnn.load(ARTIFACT))", ""),
    "session": ("numpy", "import hsnn; hsnn.Session", "pip install numpy"),
}
CODED = {
    "read_nir": ("h5py", "from hsnn.frontends.nir.read import read_nir as f; f('x.nir')", "HSNN-F088"),
    "read_netx": ("h5py", "from hsnn.frontends.netx.raw import require_h5py as f; f()", "HSNN-F073"),
    "gpu": ("torch", "from hsnn_targets.gpu.target import choose_device as f; f('cpu')", "HSNN-T050"),
    "host": ("onnxruntime", "from hsnn.runtime.host import host_names as f; f()", "HSNN-T102"),
}


FROM_OUTSIDE = (
    *("hsnn.artifact", "hsnn.frontends.live", "hsnn.frontends.onnx", "hsnn.frontends.torch", "hsnn.nn"),
    *("hsnn.report.html", "hsnn.verify.ladder", "hsnn_models.accuracy", "hsnn_models.data", "hsnn_models.digits"),
    *("hsnn_models.fashion", "hsnn_models.has8", "hsnn_models.has8_recipes", "hsnn_models.has8_table"),
    *("hsnn_models.learning_head", "hsnn_models.train", "hsnn_models.colanet.efficientnet", "hsnn_models.colanet.fast"),
    *("hsnn_models.colanet.evaluate", "hsnn_models.colanet.features", "hsnn_models.colanet.head"),
)
"""Modules that README, docs and examples import or run; what lies behind them may fail as it does."""


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """Save the smallest program."""
    path = tmp_path_factory.mktemp("artifact") / "net.hsnn"
    synapses = torch.nn.Linear(2, 2)
    torch.nn.init.ones_(synapses.weight)
    model = torch.nn.Sequential(snn.RateEncode(2), synapses, snn.Lif(), snn.RateDecode())
    hsnn.compile(model, np.ones((4, 2), np.float32)).save(path)
    return path


def without(module, code, artifact=""):
    """Run code in an interpreter that lacks a library; return how it ended: the error's types, and its text."""
    lines = (
        f"import sys; sys.modules[{module!r}] = None",
        f"ARTIFACT = {str(artifact)!r}",
        "try:",
        f"    {code}",
        "except Exception as error:",
        "    print([kind.__name__ for kind in type(error).__mro__], error)",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("use", USES)
def test_python_names_the_library_and_what_installs_it(use, artifact, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module, code, fix = USES[use]
    (library,) = (item for item in LIBRARIES if item.module == module)
    told = without(module, code, artifact)
    assert "'MissingLibraryError', 'HsnnError', 'ModuleNotFoundError', 'ImportError'" in told
    assert f"HSNN-U154: {library.package} is not installed; it is for {library.purpose}" in told
    assert f"fix: {fix or library.fix}" in told


@pytest.mark.parametrize("use", CODED)
def test_files_and_targets_have_codes_of_their_own(use):
    module, code, expected = CODED[use]
    told = without(module, code)
    assert (expected in told, "'HsnnError'" in told, "pip install" in told) == (True, True, True), told


@pytest.mark.parametrize("library", ["torch", "onnx", "numba"])
def test_a_module_for_users_names_the_library_that_it_cannot_be_imported_without(library):
    code = f"""
import sys
from importlib import import_module
from hsnn.errors import MissingLibraryError
sys.modules[{library!r}] = None
for name in {FROM_OUTSIDE}:
    try:
        import_module(name)
    except MissingLibraryError:
        print("named", name)
    except ImportError as error:
        print("raw", name, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "named" in done.stdout
    assert "raw" not in done.stdout


@pytest.mark.parametrize("module", [library.module for library in OF_MODELS])
def test_a_library_that_only_the_model_brings_is_named_with_what_installs_it(module, tmp_path, monkeypatch):
    (tmp_path / f"with_{module.replace('.', '_')}.py").write_text(f"import {module}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(HsnnError, match="HSNN-F001") as raised:
        load_factory(f"with_{module.replace('.', '_')}:net")
    (library,) = (item for item in OF_MODELS if item.module == module)
    assert raised.value.fix == library.fix
    deeper = missing_library(ModuleNotFoundError("", name=f"{module}.deeper"))
    assert deeper is not None
    assert deeper.fix == library.fix


def test_other_imports_that_fail_pass_through():
    with pytest.raises(ModuleNotFoundError) as raised, named_if_missing():
        import no_such_module_of_anyone  # noqa: F401
    assert not isinstance(raised.value, HsnnError)


def test_a_submodule_counts_as_its_library_and_the_error_survives_a_process():
    error = missing_library(ModuleNotFoundError("No module named 'scipy.sparse'", name="scipy.sparse"))
    assert error is not None
    assert error.name == "scipy.sparse"
    assert "scipy is not installed" in error.found
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, MissingLibraryError)
    assert (again.code, again.found, again.fix) == (error.code, error.found, error.fix)
