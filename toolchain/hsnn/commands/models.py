"""The model that a command names: a torch factory, a hybrid ONNX file or a .net file of netx."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hsnn.commands.arrays import load_arrays, select_inputs
from hsnn.commands.files import require_file
from hsnn.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray
    from torch import nn

    from hsnn.frontends.netx.build import NetxOptions
    from hsnn.ir.hybrid import HybridModel

    Model = nn.Module | HybridModel
    Samples = NDArray[Any] | Mapping[str, NDArray[Any]]

_KINDS = "package.module:function that returns a torch module, or a file: hybrid .onnx, .net of lava-dl, .nir"


def is_onnx(text: str) -> bool:
    """Whether a model argument names an ONNX file rather than a torch factory."""
    return text.lower().endswith(".onnx")


def is_netx(text: str) -> bool:
    """Whether a model argument names a file of lava-dl's netx."""
    return text.lower().endswith(".net")


def is_nir(text: str) -> bool:
    """Whether a model argument names a NIR file."""
    return text.lower().endswith(".nir")


def is_file(text: str) -> bool:
    """Whether a model argument names a file that holds the whole model, rather than a torch factory."""
    return is_onnx(text) or is_netx(text) or is_nir(text)


def require_model(text: str) -> None:
    """Check early that a text can name a model.

    Raises:
        UsageError: HSNN-U131 if it names no kind, HSNN-U120 for a missing file.
    """
    if is_file(text):
        require_file(text, "model")
    elif ":" not in text:
        raise UsageError("HSNN-U131", f"{text!r} names no model", allowed=_KINDS, fix=_suggestion(text))


def load_model(text: str, weights: str | None, reading: NetxOptions | None = None) -> Model:
    """Load the model that the command line names.

    Args:
        text: ``package.module:factory`` or the path of a hybrid ONNX or ``.net`` file.
        weights: File of weights for a torch module, or None.
        reading: How to read a ``.net`` file.

    Raises:
        UsageError: As :func:`require_model`, HSNN-U132 for weights beside a file that holds them, and what the front
            ends raise.
    """
    require_model(text)
    if not is_file(text):
        return load_torch(text, weights)
    if weights is not None:
        raise UsageError("HSNN-U132", f"{text!r} has its weights inside", fix="leave --weights out")
    if is_netx(text):
        from hsnn.frontends.netx.build import from_netx

        return from_netx(text, reading)
    from hsnn.frontends.onnx import from_onnx

    return from_onnx(text)


def named_model(args: argparse.Namespace) -> Model:
    """Load the model that the arguments name, as :func:`load_model` or :func:`hsnn.frontends.nir.build.from_nir`.

    Raises:
        UsageError: HSNN-U132 for weights beside a file, HSNN-F085 for a NIR file without ``--timesteps``, HSNN-U146
            for ``--nir-policy`` with another model, HSNN-U153 for ``--time`` and ``--outputs`` with a file; and what
            the front ends raise.
    """
    from hsnn.commands.calling import called, refuse_calling

    if is_file(args.model):
        refuse_calling(args)
    if is_nir(args.model):
        require_model(args.model)
        return _load_nir(args)
    if args.nir_policy is not None:
        raise UsageError(
            "HSNN-U146", f"--nir-policy is given for {args.model!r}", allowed="with a .nir file", fix="leave it out"
        )
    model = load_model(args.model, args.weights, netx_options(args))
    return model if is_file(args.model) else called(cast("nn.Module", model), args)


def _load_nir(args: argparse.Namespace) -> HybridModel:
    if args.weights is not None:
        raise UsageError("HSNN-U132", f"{args.model!r} has its weights inside", fix="leave --weights out")
    for name in ("schedule", "static_input"):
        if getattr(args, name):
            raise UsageError(
                "HSNN-F075",
                f"--{name.replace('_', '-')} is given with {args.model!r}",
                allowed="a .net file of lava-dl",
                fix="leave it out",
            )
    from hsnn.frontends.nir.build import from_nir

    return from_nir(args.model, timesteps=args.timesteps, policy=args.nir_policy)


def load_torch(text: str, weights: str | None) -> nn.Module:
    """Import and call a factory, and load its weights; raises what the front end raises."""
    from hsnn.frontends.torch import load_factory, load_weights

    module = load_factory(text)
    return module if weights is None else load_weights(module, weights)


def traced(args: argparse.Namespace, text: str) -> HybridModel:
    """Load a torch module and trace it with what ``--input-shape`` or ``--example`` describe.

    Raises:
        UsageError: HSNN-U139 without either; and what the front end raises.
    """
    from hsnn.commands.calling import called
    from hsnn.frontends.dispatch import front_end

    require_example(args)
    for name in ("weights", "example"):
        require_file(getattr(args, name), name)
    model = called(load_torch(text, args.weights), args)
    return front_end(model, example_inputs(args, model))


def require_example(args: argparse.Namespace) -> None:
    """Check that a torch model can be traced.

    Raises:
        UsageError: HSNN-U139 without ``--input-shape`` and ``--example``.
    """
    if args.input_shape is None and args.example is None:
        raise UsageError(
            "HSNN-U139",
            "a torch model can only be traced with an example input",
            fix="add --input-shape, such as 1x28x28 for one sample, or --example samples.npz",
        )


def example_inputs(args: argparse.Namespace, model: Model) -> tuple[Any, ...] | None:
    """Make the example inputs that ``--input-shape`` or ``--example`` describe; None without either.

    Raises:
        UsageError: HSNN-U133 if both are given; and what is wrong with either.
    """
    if args.input_shape is not None and args.example is not None:
        raise UsageError("HSNN-U133", "both --input-shape and --example are given", fix="give one of them")
    if args.example is not None:
        from hsnn.samples import examples_of

        return examples_of(load_samples(args.example, model, "example"))
    if args.input_shape is not None and not is_netx(getattr(args, "model", "")):
        from hsnn.frontends.torch import example_inputs as make

        return tuple(make(args.input_shape))
    return None


def load_samples(path: str, model: Model, what: str, *, ignore: Sequence[str] = ()) -> Samples:
    """Read the samples of a model that is not compiled yet.

    Args:
        path: ``.npz`` or ``.npy`` file.
        model: The model; its inputs choose among the arrays.
        what: What the samples are for, for errors.
        ignore: Names of arrays that are no inputs, such as labels.

    Returns:
        One array for each input, by name; just the array where the names of the inputs cannot be told.
    """
    arrays = load_arrays(path, what)
    names = input_names(model)
    if names:
        return select_inputs(arrays, names, path=path, what=what, ignore=ignore)
    left = {name: array for name, array in arrays.items() if name not in ignore}
    return left if len(left) != 1 else next(iter(left.values()))


def input_names(model: Model) -> tuple[str, ...]:
    """Names of a model's inputs; empty where a module does not say."""
    forward = getattr(model, "forward", None)
    if forward is None:
        return tuple(value.name for value in getattr(model, "inputs", ()))
    parameters = inspect.signature(forward).parameters.values()
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(item.kind == inspect.Parameter.VAR_POSITIONAL for item in parameters):
        return ()
    return tuple(item.name for item in parameters if item.kind in named and item.default is inspect.Parameter.empty)


def default_name(text: str) -> str:
    """Name an artifact after its model.

    >>> default_name("nets.digits:network"), default_name("out/net.onnx")
    ('network', 'net')
    """
    name = Path(text).stem if is_file(text) else text.rpartition(":")[2].rpartition(".")[2]
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name) or "model"


def _suggestion(text: str) -> str:
    if text.endswith(".py"):
        return f"write {Path(text).stem}:function, in the folder of the file"
    if text.endswith((".pt", ".pth", ".pt2", ".safetensors", ".ckpt")):
        return "a file of weights is no model: name the function that builds it, and give the file with --weights"
    if text.endswith(".hsnn") or (Path(text) / "manifest.json").is_file():
        return f"this looks like an artifact: hsnn-compile run {text} or hsnn-compile inspect {text}"
    if Path(text).is_file():
        return "a model file ends in .onnx, .net or .nir; samples are given with --calibration or --input"
    return f"write {text}:function, with the name of the function after the colon"


def netx_options(args: argparse.Namespace) -> NetxOptions | None:
    """Collect how to read a .net file; None for another model.

    Raises:
        UsageError: HSNN-F075 for an option of .net files beside another model; HSNN-F074 for a shape that is none.
    """
    given = [name for name in ("schedule", "timesteps", "static_input") if getattr(args, name)]
    if not is_netx(args.model):
        if given:
            option = f"--{given[0].replace('_', '-')}"
            raise UsageError(
                "HSNN-F075",
                f"{option} is given with {args.model!r}",
                allowed="a .net file of lava-dl",
                fix="leave it out",
            )
        return None
    from hsnn.frontends.netx.build import NetxOptions

    return NetxOptions(args.schedule or "lava", args.timesteps, _extents(args.input_shape), args.static_input)


def _extents(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.lower().replace(",", "x").split("x")
    if not all(part.isascii() and part.isdecimal() and 1 <= int(part) <= 1 << 20 for part in parts):
        raise UsageError(
            "HSNN-F074",
            f"the input shape is given as {text!r}",
            allowed="64, or 3x32x32",
            fix="write --input-shape 2x34x34: channels, height, width",
        )
    return tuple(int(part) for part in parts)
