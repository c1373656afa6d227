"""The libraries that hsnn uses, and what is said where one of them is not installed.

Running artifacts takes fewer libraries than compiling models, so much is imported where it is first used. The places
through which users come, the command and the Python API alike, import inside of :func:`named_if_missing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hsnn.errors import MissingLibraryError


@dataclass(frozen=True, slots=True)
class Library:
    """A library that hsnn uses.

    Attributes:
        module: What is imported.
        package: What is installed.
        purpose: What it is for.
        extra: Extra of hsnn that brings it; empty if hsnn cannot do without it.
    """

    module: str
    package: str
    purpose: str
    extra: str = ""

    @property
    def fix(self) -> str:
        """The command that installs it."""
        return f"pip install 'hsnn[{self.extra}]'" if self.extra else f"pip install {self.package}"


LIBRARIES = (
    Library("numpy", "numpy", "arrays"),
    Library("onnxruntime", "onnxruntime", "running host parts"),
    Library("llvmlite", "llvmlite", "the emulator"),
    Library("pydantic", "pydantic", "reading artifacts"),
    Library("safetensors", "safetensors", "reading artifacts"),
    Library("jinja2", "jinja2", "reports"),
    Library("rich", "rich", "tables and progress"),
    Library("onnx", "onnx", "compiling models, and reports", "torch"),
    Library("torch", "torch", "compiling torch models", "torch"),
    Library("onnxscript", "onnxscript", "compiling models", "torch"),
    Library("onnx_ir", "onnx-ir", "compiling models", "torch"),
    Library("scipy", "scipy", "compiling models, and Lava", "torch"),
    Library("numba", "numba", "teaching CoLaNET", "torch"),
    Library("h5py", "h5py", "files of lava-dl and of NIR", "nir"),
    Library("nir", "nir", "files of NIR", "nir"),
)


@contextmanager
def named_if_missing() -> Iterator[None]:
    """Name the library, and what installs it, where an import inside fails for want of it; also a decorator.

    Other imports that fail are mistakes and pass through as they are.

    Raises:
        MissingLibraryError: ``HSNN-U154``, if one of :data:`LIBRARIES` cannot be imported.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = missing_library(error)
        if missing is None:
            raise
        raise missing from error


def missing_library(error: ModuleNotFoundError) -> MissingLibraryError | None:
    """Return the coded error for an import that failed; None if it was of none of :data:`LIBRARIES`."""
    if isinstance(error, MissingLibraryError):
        return error
    module = (error.name or "").partition(".")[0]
    for library in LIBRARIES:
        if library.module == module:
            found = f"{library.package} is not installed; it is for {library.purpose}"
            missing = MissingLibraryError("HSNN-U154", found, fix=library.fix)
            missing.name = error.name
            return missing
    return None
