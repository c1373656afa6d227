"""The trained weights that come with hsnn_models."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import safetensors
from safetensors.torch import load_file, save as serialize
from torch import nn

from hsnn.errors import UsageError

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def packed(name: str) -> Path:
    """Return where the trained weights of an example model are."""
    return Path(__file__).with_name(f"{name}.safetensors")


def save_weights(model: nn.Module, path: Path) -> None:
    """Write all parameters and buffers of a model as safetensors."""
    path.write_bytes(serialize({name: value.contiguous() for name, value in model.state_dict().items()}))


def load_packed(model: AnyModule, name: str) -> AnyModule:
    """Return the model in evaluation mode, with its packed weights loaded into it.

    Raises:
        UsageError: HSNN-U206 if the file is missing, damaged, or of another model.
    """
    path = packed(name)
    try:
        model.load_state_dict(load_file(path))
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise UsageError(
            "HSNN-U206",
            f"{path} does not hold the weights of {type(model).__name__}: {error}",
            fix=f"reinstall hsnn, or train it again: python -m hsnn_models.train {name}",
        ) from error
    model.eval()
    return model
