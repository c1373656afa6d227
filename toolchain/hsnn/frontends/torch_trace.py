"""Trace a module into an onnx_ir model, quietly, and say what stands in the way."""

from __future__ import annotations

import inspect
import io
import itertools
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.export.graph_signature import OutputKind, TensorArgument
from torch.utils._pytree import tree_flatten_with_path, tree_structure, tree_unflatten

from hsnn.errors import HsnnError, UnsupportedError
from hsnn.frontends.torch_operators import known_operators
from hsnn.frontends.torch_pools import UnevenPools
from hsnn.frontends.torch_state import described, failing_module, first_line
from hsnn.nn.symbolic import tracing
from hsnn.ops.functions import DEFAULT_OPSET

if TYPE_CHECKING:
    import onnx_ir

_CHATTY = (
    "torch.onnx",
    "torch._subclasses.fake_tensor",
    "torch._library.triton",
    "torch.fx.experimental.symbolic_shapes",
    "torch.export",
)
"""Loggers that print what is raised besides, with its traceback, or what nobody asked for."""
BATCH = "batch"
"""Name of the batch axis in exported models."""


def trace(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[onnx_ir.Model, tuple[str, ...]]:
    """Export a module as it is, hsnn layers as nodes of their own, every input with a free batch axis.

    Args:
        module: In eval mode; it is called with symbolic tensors, so give it a copy.
        inputs: Example inputs, batch axis first.

    Returns:
        The model, and names for its outputs.

    Raises:
        UnsupportedError: ``HSNN-F013``, if torch cannot trace the module; ``HSNN-F014``, if an operator has no
            ONNX equivalent; ``HSNN-F015``, if the module works for one batch size only.
    """
    with _quiet(), torch.no_grad():
        program = exported(module, inputs)
        names = output_names(program)
        _drop_constants(program)
        return _converted(module, program), names


def exported(module: nn.Module, inputs: tuple[Tensor, ...], *, lenient: bool = False) -> torch.export.ExportedProgram:
    """Trace a module with torch.export, hsnn layers as symbols, every input with a free batch axis.

    Args:
        module: In eval mode.
        inputs: Example inputs, batch axis first.
        lenient: Whether conditions on the batch size that torch cannot decide become assertions in the graph. For
            graphs that are traced once more.

    Raises:
        UnsupportedError: ``HSNN-F013``, if torch cannot trace the module; ``HSNN-F015``, if it works for one batch
            size only.
    """
    samples = tuple(_at_least_two(item) for item in inputs)
    try:
        # Not strict: strict tracing analyses bytecode and does not see that hsnn layers emit symbols.
        with _quiet(), tracing(), UnevenPools():
            return torch.export.export(
                module,
                samples,
                dynamic_shapes=_free_batch(module, len(samples)),
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=lenient,
            )
    except HsnnError:
        raise
    except Exception as error:
        where = failing_module(module, error)
        if "onstraints violated" in str(error) or "specialized" in str(error):
            raise UnsupportedError(
                "HSNN-F015",
                f"{where} works for one batch size only: {first_line(error)}",
                allowed="a model for any batch size",
                fix="write x.flatten(1) or x.reshape(x.shape[0], -1) where the code names the batch size; a model that "
                "takes (timestep, batch, *feature) needs --time first, or hsnn.nn.TimeFirst(model)",
            ) from error
        raise UnsupportedError(
            "HSNN-F013",
            f"torch cannot trace {where}: {type(error).__name__}: {first_line(error)}",
            allowed="a forward without control flow that depends on values",
            fix="replace 'if' and 'while' on tensors by torch.where, and .item() or numpy by torch operations",
        ) from error


def output_names(program: torch.export.ExportedProgram) -> tuple[str, ...]:
    """Name the outputs of a traced module after the keys and fields that it returns them under.

    Returns:
        ``output`` for a lone tensor, ``output_0`` and so on for a tuple, ``logits`` for ``{"logits": ...}``, nested
        ones joined by underscores; none for ``None`` and for numbers, which are no outputs.
    """
    spec = program.call_spec.out_spec
    if spec is None:
        return ()
    leaves, _ = tree_flatten_with_path(tree_unflatten(list(range(spec.num_leaves)), spec))
    returned = [item for item in program.graph_signature.output_specs if item.kind is OutputKind.USER_OUTPUT]
    pairs = zip(leaves, returned, strict=True)
    return tuple(_output_name(path) for (path, _), item in pairs if isinstance(item.arg, TensorArgument))


def _drop_constants(program: torch.export.ExportedProgram) -> None:
    """Leave ``None`` and numbers out of what a program returns, in place: ONNX has outputs for tensors only."""
    signature = program.graph_signature
    kept = [isinstance(item.arg, TensorArgument) for item in signature.output_specs]
    returned = next(node for node in program.graph.nodes if node.op == "output")
    returned.args = (tuple(itertools.compress(returned.args[0], kept)),)
    signature.output_specs = list(itertools.compress(signature.output_specs, kept))
    called = program.module_call_graph[0].signature
    if called is not None and not all(kept):
        called.out_spec = tree_structure(tuple(range(len(signature.user_outputs))))


def _output_name(path: Sequence[object]) -> str:
    parts = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", "")))) for key in path]
    parts = [re.sub(r"\W", "_", part) for part in parts]
    return "_".join(parts if parts and not parts[0].isdecimal() else ["output", *parts])


def _converted(module: nn.Module, program: torch.export.ExportedProgram) -> onnx_ir.Model:
    try:
        with known_operators():
            exported = torch.onnx.export(
                program, (), dynamo=True, opset_version=DEFAULT_OPSET, optimize=False, verbose=False
            )
    except torch.onnx.errors.OnnxExporterError as error:
        operator, where = _unconverted(module, program, error)
        raise UnsupportedError(
            "HSNN-F014",
            f"operator {operator} in {where} has no ONNX equivalent",
            allowed="operators that torch.onnx.export can convert",
            fix="write it with other torch operations",
        ) from error
    if exported is None:
        raise UnsupportedError(
            "HSNN-F014",
            f"torch.onnx gave no model for {type(module).__name__}",
            fix="write the operator with other torch operations",
        )
    return exported.model


def _unconverted(module: nn.Module, program: torch.export.ExportedProgram, error: BaseException) -> tuple[str, str]:
    """Return the operator that could not be converted and the module it is in, as far as the error tells."""
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__
    text = "\n".join(texts)
    for node in program.graph.nodes:
        if node.op == "call_function" and re.search(rf"%{re.escape(node.name)}\b", text) and str(node.target) in text:
            stack = list(node.meta.get("nn_module_stack", {}).values())
            path = re.sub(r"@\d+$", "", stack[-1][0]) if stack else ""
            return str(node.target), described(path, module.get_submodule(path))
    return f"({first_line(error)})", type(module).__name__


def _free_batch(module: nn.Module, count: int) -> tuple[Any, ...]:
    """Declare the first axis of every input free; those that ``*inputs`` takes are one argument."""
    batch = torch.export.Dim(BATCH)
    kinds = [item.kind for item in inspect.signature(module.forward).parameters.values()]
    gathered = inspect.Parameter.VAR_POSITIONAL
    named = kinds.index(gathered) if gathered in kinds else count
    rest = tuple({0: batch} for _ in range(count - named))
    return (*({0: batch} for _ in range(min(named, count))), *((rest,) if rest else ()))


def _at_least_two(x: Tensor) -> Tensor:
    """Repeat a single sample: torch takes an axis of extent 1 for a constant."""
    return x if x.shape[0] > 1 else x.repeat(2, *(1,) * (x.ndim - 1))


@contextmanager
def quiet_loggers() -> Iterator[None]:
    """Keep torch's remarks about itself off the terminal: of its exporter, and that it finds no Triton."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings off the terminal, too, and what torch prints of a failure: a dump of its graph; it is raised."""
    with quiet_loggers(), warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
