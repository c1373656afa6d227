"""The plain network itself: read, made ready for any number of samples, and run in float.

Networks come from any exporter. What differs between exporters is put right here, once: an older operator set is raised
to one that the hsnn operators are written for, values computed from constants alone become constants, a batch that was
fixed is freed (:mod:`~hsnn.frontends.spike.batch`), and nodes learn the path of their module. That none of it changes
what the network computes is tested on samples, not assumed.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.checker
import onnx.shape_inference
import onnx.version_converter
from onnx import TensorProto, helper

from hsnn.errors import UnsupportedError, UsageError
from hsnn.frontends.spike.batch import fixed_batch, free_batch
from hsnn.frontends.spike.constants import constant_values, fold
from hsnn.frontends.spike.execute import execute
from hsnn.frontends.tensors import check_sizes, check_tensors
from hsnn.ir.hybrid import MODULE_KEY, module_of, read_model
from hsnn.ops import DOMAIN
from hsnn.ops.functions import DEFAULT_OPSET, OPSET_MIN, onnx_opset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_COMPARED = 4
"""Samples on which the network is compared with the file."""
_LARGEST_BATCH = 1 << 12
_TOLERANCE = 1e-3
"""Largest difference of an output, relative to its largest magnitude: order of summation, and no more."""
_SCOPES_KEY = "pkg.torch.onnx.name_scopes"


def prepared(source: str | os.PathLike[str] | onnx.ModelProto, samples: Mapping[str, Array]) -> onnx.ModelProto:
    """Read a network for any number of samples.

    Args:
        source: A file, or a model, which is not changed.
        samples: For each input: samples, batch axis first.

    Raises:
        UsageError: ``HSNN-F020``, if the file is missing or no ONNX model; ``HSNN-U149``, if it spikes already.
        UnsupportedError: ``HSNN-F021``, if it is not valid; ``HSNN-F030``, if its operator set cannot be raised;
            ``HSNN-F097``, if it was exported for training; ``HSNN-F098``, if it does not run; ``HSNN-F099``, if it
            computes something else on several samples together than on each; ``HSNN-F100``, if a value is too large.
    """
    given = source if isinstance(source, onnx.ModelProto) else read_model(os.fspath(source))
    if any(node.domain == DOMAIN for node in given.graph.node):
        raise UsageError(
            "HSNN-U149",
            "--spike is given for a network that has operators of hsnn already",
            allowed="a plain network",
            fix="leave --spike out",
        )
    check_tensors(given.graph)
    _check_valid(given)
    model = _raised(given)
    fold(model.graph, model)
    _check_inference(model.graph)
    free_batch(model)
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    _check_same(given, model, samples)
    return model


def run(model: onnx.ModelProto, samples: Mapping[str, Array], more: Sequence[str]) -> list[Array]:
    """Run a network, and give its outputs, then the values that ``more`` names.

    Args:
        model: A network of :func:`prepared`; it is not changed.
        samples: For each input: samples, batch axis first.
        more: Names of values inside.

    Raises:
        UnsupportedError: ``HSNN-F098``, if it does not run on a batch of samples.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    stated = {item.name for item in copy.graph.output}
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in more if name not in stated
    )
    names = [item.name for item in model.graph.output]
    try:
        return execute(copy, samples, [*names, *more])
    except Exception as error:  # ONNX Runtime has no base class for what it raises
        raise UnsupportedError(
            "HSNN-F098",
            f"ONNX Runtime cannot run the network on a batch of samples: {_first_line(error)}",
            allowed="a network that takes any number of samples along its first axis, and samples of its shape",
            fix="give samples of the shape and under the name of its input; export it with a free batch axis",
        ) from error


def add_record(model: onnx.ModelProto, record: Mapping[str, str]) -> None:
    """Add records to a model's metadata."""
    kept = {item.key: item.value for item in model.metadata_props if item.key not in record}
    helper.set_model_props(model, {**kept, **record})


def _check_valid(model: onnx.ModelProto) -> None:
    try:
        # Outputs whose shape is not stated get it first: the checker wants one, ONNX Runtime does not.
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        onnx.checker.check_model(inferred, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise UnsupportedError(
            "HSNN-F021",
            f"the model is not valid ONNX: {_first_line(error)}",
            fix="export it again, with an exporter whose files onnx.checker takes",
        ) from error
    check_sizes(inferred.graph)


def _raised(given: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in an operator set that the hsnn operators know; nodes carry the path of their module."""
    model = onnx.ModelProto()
    model.CopyFrom(given)
    version = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
    paths = {node.output[0]: _module_path(node) for node in model.graph.node if node.output}
    if 0 < version < OPSET_MIN:
        try:
            model = onnx.version_converter.convert_version(model, DEFAULT_OPSET)
        except Exception as error:  # a C++ library; it raises RuntimeError, and others
            raise UnsupportedError(
                "HSNN-F030",
                f"the model uses version {version} of the ONNX operator set, and ONNX cannot raise it to "
                f"{DEFAULT_OPSET}: {_first_line(error)}",
                fix=f"export it with opset_version={DEFAULT_OPSET}",
            ) from error
    onnx_opset(model)
    imports = [item for item in model.opset_import if item.domain != DOMAIN]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    for node in model.graph.node:
        helper.set_model_props(node, {MODULE_KEY: paths.get(node.output[0], "") if node.output else ""})
    return model


def _module_path(node: onnx.NodeProto) -> str:
    """Return the torch module that an exporter made a node from, or an empty string.

    >>> _module_path(onnx.NodeProto(name="/layer1/layer1.0/relu/Relu"))
    'layer1.0.relu'
    """
    if module_of(node):
        return module_of(node)
    scopes = next((item.value for item in node.metadata_props if item.key == _SCOPES_KEY), "")
    if scopes:
        try:
            names = [str(name) for name in ast.literal_eval(scopes)]
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return ""  # No exporter wrote that; it only serves to find a node by its module.
        return re.sub(r"@\d+$", "", names[-2]) if len(names) > 1 else ""
    path = ""
    for part in node.name.split("/")[1:-1]:
        last = path.rpartition(".")[2]
        nested = part.startswith(f"{last}.") if last else False
        path = path + part.removeprefix(last) if nested else f"{path}.{part}".strip(".")
    return path


def _check_inference(graph: onnx.GraphProto) -> None:
    constants = constant_values(graph)
    for node in graph.node:
        training = node.op_type == "BatchNormalization" and any(
            item.name == "training_mode" and item.i for item in node.attribute
        )
        if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
            training = bool(np.any(constants.get(node.input[2], np.array(True))))
        if training and not node.domain:
            raise UnsupportedError(
                "HSNN-F097",
                f"{node.name or node.output[0]!r} ({node.op_type}) computes as in training",
                allowed="a network that computes each sample on its own, without chance",
                fix="call model.eval() and export it again without training=TrainingMode.TRAINING",
            )


def _check_same(given: onnx.ModelProto, model: onnx.ModelProto, samples: Mapping[str, Array]) -> None:
    """Compare what was made of a file with the file itself, which may take one number of samples only."""
    size = fixed_batch(given) or _COMPARED
    if size > _LARGEST_BATCH:
        raise UnsupportedError(
            "HSNN-F098", f"the network takes {size} samples at once", fix="export it with a free batch axis"
        )
    few = {name: array[:_COMPARED] for name, array in samples.items()}
    made = run(model, few, [])
    count = -(-_COMPARED // size) * size
    whole = {name: np.resize(array, (count, *array.shape[1:])) for name, array in few.items()}
    pieces = [
        run(given, {name: array[begin : begin + size] for name, array in whole.items()}, [])
        for begin in range(0, count, size)
    ]
    for item, found, *parts in zip(model.graph.output, made, *pieces, strict=True):
        expected = np.concatenate([np.atleast_1d(part) for part in parts])[: len(np.atleast_1d(found))]
        if not bool(np.isfinite(found).all()):
            what = "has a NaN or an infinity"
        elif _alike(np.atleast_1d(found), expected):
            continue
        else:
            what = "of several samples together is not that of each of them alone"
        raise UnsupportedError(
            "HSNN-F099",
            f"output {item.name!r} {what}",
            allowed="a network that computes each sample on its own, finite numbers",
            fix="export it in eval mode, with a free batch axis and opset_version=20",
        )


def _alike(found: Array, expected: Array) -> bool:
    if found.shape != expected.shape:
        return False
    return bool(np.allclose(found, expected, rtol=0, atol=_TOLERANCE * (float(np.abs(expected).max(initial=0)) or 1.0)))


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
