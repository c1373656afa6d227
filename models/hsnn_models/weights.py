"""The trained weights that come with hsnn_models."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from safetensors.torch import save as serialize
from torch import nn

from hsnn.frontends.torch_load import load_weights

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
        UsageError: HSNN-F003 to HSNN-F005 if the file is missing, damaged, or of another model.
    """
    load_weights(model, packed(name))
    model.eval()
    return model
