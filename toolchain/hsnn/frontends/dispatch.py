"""Choose the front end for whatever the user has."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hsnn.errors import UsageError
from hsnn.ir.hybrid import HybridModel

if TYPE_CHECKING:
    from torch import nn

Model: TypeAlias = "nn.Module | HybridModel | str | os.PathLike[str]"
"""A torch module, a hybrid model, or the path of a hybrid ``.onnx``, a ``.net`` (lava-dl) or a ``.nir`` file.

Files of others leave things open: :func:`hsnn.frontends.netx.build.from_netx` and
:func:`hsnn.frontends.nir.build.from_nir` take them as arguments and return a hybrid model.
"""


def front_end(model: Model, example_inputs: Sequence[Any] | None) -> HybridModel:
    """Turn whatever the user has into a hybrid model.

    Raises:
        UsageError: ``HSNN-U030``, if a torch module comes without example inputs, or it is no model.
    """
    if isinstance(model, HybridModel):
        return model
    if isinstance(model, str | os.PathLike):
        if Path(model).suffix.lower() == ".net":
            from hsnn.frontends.netx.build import from_netx

            return from_netx(model)
        if Path(model).suffix.lower() == ".nir":
            from hsnn.frontends.nir.build import from_nir

            return from_nir(model)
        from hsnn.frontends.onnx import from_onnx

        return from_onnx(Path(model))
    torch = sys.modules.get("torch")  # whoever has a torch module has imported torch
    if torch is None or not isinstance(model, torch.nn.Module):
        raise UsageError(
            "HSNN-U030",
            f"the model is a {type(model).__name__}",
            allowed="a torch module, a HybridModel or the path of a hybrid .onnx file, a .net file or a .nir file",
            fix="give a torch module, or the path of a model file",
        )
    if hasattr(example_inputs, "__array__"):
        example_inputs = (example_inputs,)
    if not example_inputs:
        raise UsageError("HSNN-U030", "a torch module needs example inputs", fix="pass example_inputs=(x,)")
    from hsnn.frontends.torch import from_torch

    return from_torch(model, tuple(torch.as_tensor(item) for item in example_inputs))
