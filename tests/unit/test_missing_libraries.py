"""A library that is not installed is named, with what installs it, in Python as on the command line."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from hsnn.errors import HsnnError, MissingLibraryError
from hsnn.libraries import LIBRARIES, missing_library, named_if_missing

TORCH = "pip install 'hsnn[torch]'"
USES = {
    "nn": ("torch", "from hsnn import nn", TORCH),
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
    "session": ("numpy", "import hsnn; hsnn.Session", "pip install numpy"),
}
CODED = {
    "read_nir": ("h5py", "from hsnn.frontends.nir.read import read_nir as f; f('x.nir')", "HSNN-F088"),
    "read_netx": ("h5py", "from hsnn.frontends.netx.raw import require_h5py as f; f()", "HSNN-F073"),
    "gpu": ("torch", "from hsnn_targets.gpu.target import choose_device as f; f('cpu')", "HSNN-T050"),
    "host": ("onnxruntime", "from hsnn.runtime.host import host_names as f; f()", "HSNN-T102"),
}


def without(module, code):
    """Run code in an interpreter that lacks a library; return how it ended: the error's types, and its text."""
    lines = (
        f"import sys; sys.modules[{module!r}] = None",
        "try:",
        f"    {code}",
        "except Exception as error:",
        "    print([kind.__name__ for kind in type(error).__mro__], error)",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("use", USES)
def test_python_names_the_library_and_what_installs_it(use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module, code, fix = USES[use]
    (library,) = (item for item in LIBRARIES if item.module == module)
    told = without(module, code)
    assert "'MissingLibraryError', 'HsnnError', 'ModuleNotFoundError', 'ImportError'" in told
    assert f"HSNN-U154: {library.package} is not installed; it is for {library.purpose}" in told
    assert f"fix: {fix or library.fix}" in told


@pytest.mark.parametrize("use", CODED)
def test_files_and_targets_have_codes_of_their_own(use):
    module, code, expected = CODED[use]
    told = without(module, code)
    assert (expected in told, "'HsnnError'" in told, "pip install" in told) == (True, True, True), told


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
