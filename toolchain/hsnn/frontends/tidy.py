"""Make an exported graph readable: constants folded, names from the torch modules, nothing of the exporter left."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import (
    InlinePass,
    LiftConstantsToInitializersPass,
    OutputFixPass,
    RemoveUnusedNodesPass,
)
from onnxscript.optimizer import fold_constants

from hsnn.ir.hybrid import MODULE_KEY
from hsnn.ops import DOMAIN, OPS

_SCOPES_KEY = "pkg.torch.onnx.name_scopes"


def tidy(model: ir.Model, outputs: Sequence[str]) -> ir.Model:
    """Fold constants, drop what nothing uses, and name nodes and values after torch modules, in place.

    A node is called ``path.of.module/Operator``, numbered where that is not unique; its value has the same
    name. A weight that was transposed or clipped keeps its name, a transposed one with ``.T``.

    Args:
        model: As torch exports it, not optimized.
        outputs: What to call the model's outputs, numbered where that is not unique.

    Returns:
        The same model.
    """
    origins = _origins(model.graph)
    InlinePass()(model)
    _drop_exporter_metadata(model)
    fold_constants(
        model,
        input_size_limit=sys.maxsize,
        output_size_limit=sys.maxsize,
        should_fold=lambda node: False if node.domain == DOMAIN else None,
    )
    _fix_reshapes(model.graph)
    _drop_broken_biases(model.graph)
    RemoveUnusedNodesPass()(model)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    inputs = tuple(str(value.name) for value in model.graph.inputs)
    OutputFixPass()(model)
    _name(model.graph, inputs, outputs, origins)
    return model


def _origins(graph: ir.Graph) -> dict[str, str]:
    """Return, for each value computed from one weight and constants alone, that weight's name.

    The name is followed by ``.T`` if the value was transposed on the way.
    """
    weights: dict[ir.Value, tuple[frozenset[str], bool]] = {
        value: (frozenset({name}), False) for name, value in graph.initializers.items()
    }
    for node in graph:
        inputs = [value for value in node.inputs if value is not None]
        if not all(value in weights for value in inputs) or node.domain == DOMAIN:
            continue
        sources = frozenset().union(*(weights[value][0] for value in inputs))
        if node.op_type in ("CastLike", "Shape"):
            sources = weights[inputs[0]][0] if node.op_type == "CastLike" else frozenset()
        transposed = node.op_type == "Transpose" or any(weights[value][1] for value in inputs)
        weights.update((value, (sources, transposed)) for value in node.outputs)
    return {
        str(value.name): next(iter(sources)) + (".T" if transposed else "")
        for value, (sources, transposed) in weights.items()
        if len(sources) == 1
    }


def _drop_exporter_metadata(model: ir.Model) -> None:
    """Keep the module path alone: the exporter's metadata holds stack traces with paths of this machine."""
    for node in model.graph:
        path = _module_path(node.metadata_props.get(_SCOPES_KEY, "[]"))
        node.metadata_props.clear()
        node.doc_string = None
        node.metadata_props[MODULE_KEY] = path
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.graph.name = "hybrid"
    model.producer_name, model.producer_version, model.doc_string = "hsnn", None, None


def _module_path(scopes: str) -> str:
    """Return the innermost module of the exporter's list of scopes, whose last entry is the operator.

    >>> _module_path("['', 'block', 'block.conv@1', 'conv2d']")
    'block.conv'
    """
    names: list[str] = ast.literal_eval(scopes)
    path = names[-2] if len(names) > 1 else ""
    return "" if path.startswith("_empty_nn_module_stack") else re.sub(r"@\d+$", "", path)


def _fix_reshapes(graph: ir.Graph) -> None:
    """Give each Reshape a constant shape where only one axis depends on the batch: -1 stands for it."""
    for node in graph:
        if node.op_type != "Reshape" or node.domain or node.inputs[1] is None or node.inputs[1].is_initializer():
            continue
        shape = node.outputs[0].shape
        if shape is None or node.inputs[1].const_value is not None:
            continue
        dims = [dim if isinstance(dim, int) else -1 for dim in shape]
        if dims.count(-1) > 1 or 0 in dims:
            continue
        name = f"{node.name}.shape"
        constant = ir.Value(name=name, const_value=ir.tensor(np.array(dims, np.int64), name=name))
        graph.register_initializer(constant)
        node.replace_input_with(1, constant)
        node.attributes["allowzero"] = ir.AttrInt64("allowzero", 0)


def _drop_broken_biases(graph: ir.Graph) -> None:
    """Take a bias of two axes off each Conv: torch gives a Conv3d without bias such zeros, which no runtime takes.

    Seen in torch 2.13: the extent of the bias is joined with a constant 2 there.
    """
    for node in graph:
        bias = node.inputs[2] if node.op_type == "Conv" and not node.domain and len(node.inputs) == 3 else None
        if bias is not None and bias.const_value is not None and len(bias.const_value.shape) > 1:
            node.resize_inputs(2)


def _name(graph: ir.Graph, inputs: tuple[str, ...], names: Sequence[str], origins: dict[str, str]) -> None:
    used = set(inputs)
    kept = {str(value.name) for value in graph.initializers.values() if str(value.name) in origins.values()}
    outputs = list(graph.outputs)
    for name, value in zip(names, outputs, strict=True):
        value.name = _unique(name, used)
    for value, name in zip(graph.inputs, inputs, strict=True):
        value.name = name  # An input that is also an output was renamed to make room for its copy.
    used |= kept
    for node in graph:
        path = node.metadata_props.setdefault(MODULE_KEY, "")
        node.name = _unique(f"{path}/{node.op_type}" if path else node.op_type, used)
        for index, value in enumerate(node.outputs):
            if value not in outputs:
                value.name = node.name if len(node.outputs) == 1 else _unique(f"{node.name}.{index}", used)
    for old, value in list(graph.initializers.items()):
        if old not in kept:
            value.name = _unique(origins.get(old) or _by_use(value), used)


def _by_use(value: ir.Value) -> str:
    use = next(iter(value.uses()), None)
    if use is None:
        return "constant"
    node = use.node
    if node.domain == DOMAIN:
        return f"{node.name}.{OPS[node.op_type].inputs[use.idx]}"
    formal = onnx.defs.get_schema(node.op_type, node.domain).inputs
    return f"{node.name}.{formal[min(use.idx, len(formal) - 1)].name}"


def _unique(name: str, used: set[str]) -> str:
    candidate, count = name, 0
    while candidate in used:
        count += 1
        candidate = f"{name}_{count}"
    used.add(candidate)
    return candidate
