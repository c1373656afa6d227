"""The libraries that hsnn uses, and what is said where one of them is not installed.

Running artifacts takes fewer libraries than compiling models, so much is imported where it is first used. Modules that
users import, and functions that they call, import what may be missing inside of :func:`named_if_missing`.
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
        command: What installs it, where that is neither the package nor the extra.
    """

    module: str
    package: str
    purpose: str
    extra: str = ""
    command: str = ""

    @property
    def fix(self) -> str:
        """The command that installs it."""
        if self.command:
            return self.command
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
"""What hsnn itself imports; ``doctor`` looks for each."""

INSTALL_LAVA = "pip install --no-deps --ignore-requires-python lava-nc==0.10.0, and pip install asteval networkx scipy"
"""Lava declares Python 3.10 only, and pins what it does not need."""

OF_MODELS = (
    Library("snntorch", "snntorch", "models with neurons of snnTorch"),
    Library("spikingjelly", "spikingjelly", "models with neurons of SpikingJelly"),
    Library("norse", "norse", "models with neurons of Norse"),
    Library("sinabs", "sinabs", "models with neurons of sinabs"),
    Library(
        "lava.lib",
        "lava-dl",
        "models with blocks of lava-dl's slayer",
        command="pip install --no-deps --ignore-requires-python lava-dl==0.6.0",
    ),
    Library("lava", "lava-nc", "Lava's simulation of Loihi 2", command=INSTALL_LAVA),
)
"""What only models bring, and what only a target runs on; a longer name comes before what it begins with."""


@contextmanager
def named_if_missing() -> Iterator[None]:
    """Name the library, and what installs it, where an import inside fails for want of it; also a decorator.

    Other imports that fail are mistakes and pass through as they are.

    Raises:
        MissingLibraryError: ``HSNN-U154``, if one of :data:`LIBRARIES` or :data:`OF_MODELS` cannot be imported.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = missing_library(error)
        if missing is None:
            raise
        raise missing from error


def missing_library(error: ModuleNotFoundError) -> MissingLibraryError | None:
    """Return the coded error for an import that failed; None if it was of no library that is listed."""
    if isinstance(error, MissingLibraryError):
        return error
    for library in (*LIBRARIES, *OF_MODELS):
        if f"{error.name}.".startswith(f"{library.module}."):
            found = f"{library.package} is not installed; it is for {library.purpose}"
            missing = MissingLibraryError("HSNN-U154", found, fix=library.fix)
            missing.name = error.name
            return missing
    return None
