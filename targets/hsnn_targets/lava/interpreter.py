"""The interpreter that runs Lava: this one, or the one named by ``HSNN_LAVA_PYTHON``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import hsnn
import hsnn_targets
from hsnn.errors import TargetMissingError
from hsnn_targets.lava import probe

VARIABLE = "HSNN_LAVA_PYTHON"
PROBE_SECONDS = 30.0


def worker_interpreter() -> str:
    """Path of the interpreter that workers run in, or a name to look up on the PATH."""
    named = os.environ.get(VARIABLE)
    if not named:
        return sys.executable
    return str(Path(named).absolute()) if os.sep in named else named


def find_lava() -> probe.Finding:
    """Look for Lava where workers would run.

    Raises:
        TargetMissingError: ``HSNN-T021``, if the interpreter named by ``HSNN_LAVA_PYTHON`` does not work.
    """
    interpreter = worker_interpreter()
    if interpreter == sys.executable:
        return probe.look()
    try:
        done = subprocess.run(
            [interpreter, "-W", "ignore", str(Path(probe.__file__))],
            capture_output=True,
            check=True,
            timeout=PROBE_SECONDS,
            env=_environment(),
        )
        finding: probe.Finding = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise TargetMissingError(
            "HSNN-T021",
            f"the interpreter {interpreter!r} named by {VARIABLE} does not run: {error}",
            allowed="a Python from 3.10 to 3.13 with lava-nc",
            fix=f"unset {VARIABLE}, or let it name a working interpreter",
        ) from error
    return finding


def worker_environment(directory: Path) -> dict[str, str]:
    """Environment of a worker: this hsnn on its path, its own place for temporary files, single threads.

    The path gets links to the two packages alone, not the folders they lie in, so that an interpreter
    of another version is not offered packages that were built for this one.

    Args:
        directory: The worker's own directory; the links go into it.
    """
    path = directory / "path"
    path.mkdir()
    for package in (hsnn, hsnn_targets):
        (path / package.__name__).symlink_to(Path(package.__path__[0]).resolve(), target_is_directory=True)
    environment = _environment()
    inherited = environment.get("PYTHONPATH")
    return {
        **environment,
        "PYTHONPATH": f"{path}{os.pathsep}{inherited}" if inherited else str(path),
        "TMPDIR": str(directory),
        "PYTHONFAULTHANDLER": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def _environment() -> dict[str, str]:
    """Environment without what would turn a worker's warnings into errors or start debuggers in it."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONWARNINGS", "PYTHONINSPECT")}
