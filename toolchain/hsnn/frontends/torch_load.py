"""What a user names on the command line: a model factory, weights, example inputs."""

from __future__ import annotations

import importlib
import os
import pickle
import re
import struct
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hsnn.errors import HsnnError, UsageError
from hsnn.libraries import missing_library

EXAMPLE_BATCH = 2
_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_SHAPE = re.compile(r"\d+(x\d+)*|\d+(,\d+)+")
_SHOWN = 8
_UNREADABLE = (
    SafetensorError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What safetensors and torch.load raise for files that hold something else, or are damaged."""


def _way_out(error: Exception, module_name: str) -> str:
    """Say what helps against a module that does not import, or a function that fails."""
    if isinstance(error, ModuleNotFoundError) and error.name and not f"{module_name}.".startswith(f"{error.name}."):
        known = missing_library(error)
        return known.fix if known else f"install what provides {error.name!r}"
    if isinstance(error, ImportError | AttributeError):
        return "run from the folder that holds the package, or install it"
    return "call it in Python to see where it fails; one that needs arguments goes into a function without any"


def load_factory(spec: str) -> nn.Module:
    """Import and call what ``package.module:factory`` names, with the current folder on the path.

    Args:
        spec: Names a module instance, or a function or class that returns one when called without arguments.

    Raises:
        UsageError: ``HSNN-F001``, if it cannot be imported or called; ``HSNN-F002``, if it gives no module.
    """
    if not _FACTORY.fullmatch(spec):
        raise UsageError(
            "HSNN-F001",
            f"{spec!r} names no model",
            allowed="package.module:factory",
            fix="write package.module:factory, with the name of the module and of what is in it",
        )
    module_name, _, attribute = spec.partition(":")
    with _current_folder_on_path():
        try:
            found: Any = importlib.import_module(module_name)
            for part in attribute.split("."):
                found = getattr(found, part)
            if isinstance(found, type) or not isinstance(found, nn.Module):
                found = found()
        except HsnnError:
            raise
        except Exception as error:
            raise UsageError(
                "HSNN-F001",
                f"{spec!r} cannot be imported and called: {type(error).__name__}: {error}",
                allowed="a module instance, or a callable that needs no arguments",
                fix=_way_out(error, module_name),
            ) from error
    if not isinstance(found, nn.Module):
        raise UsageError(
            "HSNN-F002",
            f"{spec!r} gives a {type(found).__name__}",
            allowed="a torch.nn.Module",
            fix="return the module from the function",
        )
    return found


def load_weights(module: nn.Module, path: str | Path) -> nn.Module:
    """Load trained weights into a module, in place.

    Args:
        module: Gets the weights.
        path: A ``.safetensors`` file, or a state dict saved by ``torch.save``; a dict that holds the
            state dict under ``state_dict`` or ``model`` will do. Nothing in it is executed.

    Returns:
        The same module.

    Raises:
        UsageError: ``HSNN-F003``, if the file is missing, damaged or no plain state dict; ``HSNN-F004``, if
            names or shapes do not match; ``HSNN-F005``, if a value is infinite or NaN. The module is then
            as it was.
    """
    state = _read_state(Path(path))
    _check_match(module, state, Path(path))
    check_finite(state.items(), where=f"weights {str(path)!r}")
    module.load_state_dict(state)
    return module


def check_finite(tensors: Any, *, where: str) -> None:
    """Check that no floating-point tensor has an infinite or NaN value.

    Args:
        tensors: Pairs of name and tensor.
        where: What they belong to.

    Raises:
        UsageError: ``HSNN-F005``, naming those that have.
    """
    bad = [name for name, tensor in tensors if tensor.is_floating_point() and not bool(tensor.isfinite().all())]
    if bad:
        raise UsageError(
            "HSNN-F005",
            f"{where}: infinite or NaN values in {_listed(bad)}",
            allowed="finite weights",
            fix="train again from a checkpoint before the loss diverged",
        )


def example_inputs(source: str | Path, *, seed: int = 0) -> tuple[Tensor, ...]:
    """Make example inputs.

    Args:
        source: ``1x28x28``, the shape of one sample; or ``2,1,28,28``, a shape with its batch; or a ``.npz``
            file with one array for each input, in the order of the file, batch axis first. float64 becomes float32.
        seed: Seed of the random values that a shape gets, uniform in [0, 1).

    Raises:
        UsageError: ``HSNN-F006``, if it is none of these.
    """
    text = str(source)
    if _SHAPE.fullmatch(text):
        shape = (
            tuple(int(part) for part in text.split(","))
            if "," in text
            else (EXAMPLE_BATCH, *(int(part) for part in text.split("x")))
        )
        if 0 in shape:
            raise UsageError(
                "HSNN-F006",
                f"example input {text!r} has no elements",
                allowed="extents of 1 or more",
                fix="write 1x28x28 for one sample",
            )
        return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)),)
    if not text.endswith(".npz"):
        raise UsageError(
            "HSNN-F006",
            f"example input {text!r} is neither a shape nor a .npz file",
            allowed="1x28x28 (one sample), 2,1,28,28 (with its batch), or a .npz file",
            fix="write 1x28x28 for one sample, or name a file that is there",
        )
    return _read_npz(text)


def _read_npz(path: str) -> tuple[Tensor, ...]:
    try:
        # np.load leaves the file open if it is damaged, so it is opened here.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise UsageError(
            "HSNN-F006",
            f"example inputs {path!r} cannot be read: {error}",
            allowed="a .npz file of plain arrays",
            fix="write them with numpy.savez, an array for each input",
        ) from error
    if not arrays:
        raise UsageError(
            "HSNN-F006",
            f"example inputs {path!r} hold no array",
            allowed="one array for each input",
            fix="write them with numpy.savez, an array for each input",
        )
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or array.ndim < 1 or not array.size:
            raise UsageError(
                "HSNN-F006",
                f"array {name!r} of {path!r} is {array.dtype} of shape {array.shape}",
                allowed="numbers, batch axis first, at least one sample",
                fix="save numbers with the batch as the first axis",
            )
    single = (array.astype(np.float32) if array.dtype == np.float64 else array for array in arrays.values())
    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in single)


@contextmanager
def _current_folder_on_path() -> Iterator[None]:
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UsageError("HSNN-F003", f"there is no weights file {str(path)!r}", fix="check the path")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says about old pickles is said by the errors below
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UsageError(
            "HSNN-F003",
            f"weights {str(path)!r} hold more than tensors, and loading them could run code",
            allowed="a .safetensors file, or torch.save(module.state_dict(), path)",
            fix="save the state dict instead of the module",
        ) from error
    except _UNREADABLE as error:
        raise UsageError(
            "HSNN-F003",
            f"weights {str(path)!r} cannot be read: {str(error).splitlines()[0] if str(error) else error!r}",
            allowed="a .safetensors file, or torch.save(module.state_dict(), path)",
            fix="save module.state_dict() again, or a .safetensors file",
        ) from error
    return _state_dict(loaded, path)


def _state_dict(loaded: Any, path: Path) -> dict[str, Tensor]:
    for key in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(item, Tensor) for item in loaded.values()):
        raise UsageError(
            "HSNN-F003",
            f"weights {str(path)!r} hold a {type(loaded).__name__} that is no state dict",
            allowed="names with tensors",
            fix="save module.state_dict()",
        )
    return dict(loaded)


def _check_match(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    own = module.state_dict()
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    shapes = [
        f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    parts = [
        f"{title} {_listed(names)}"
        for title, names in (("missing", missing), ("unexpected", unexpected), ("of the wrong shape", shapes))
        if names
    ]
    if parts:
        raise UsageError(
            "HSNN-F004",
            f"weights {str(path)!r} do not fit {type(module).__name__}: {'; '.join(parts)}",
            allowed="exactly the names and shapes of the module's state dict",
            fix="build the model with the arguments that it was trained with",
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
