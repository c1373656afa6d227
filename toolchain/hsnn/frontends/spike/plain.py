"""The plain network itself: read with a free batch axis, and run in float."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hsnn.errors import UnsupportedError
from hsnn.ir.hybrid import read_model
from hsnn.ops.functions import onnx_opset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def prepared(source: str | os.PathLike[str] | onnx.ModelProto) -> onnx.ModelProto:
    """Read a network: its batch axis is free, its nodes have names, and shapes inside are open."""
    given = source if isinstance(source, onnx.ModelProto) else read_model(os.fspath(source))
    onnx_opset(given)
    model = onnx.ModelProto()
    model.CopyFrom(given)
    fixed = {item.name for item in model.graph.initializer}
    for item in (*model.graph.input, *model.graph.output):
        if item.name not in fixed and item.type.tensor_type.shape.dim:
            item.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    _free_reshapes(model.graph)
    return model


def _free_reshapes(graph: onnx.GraphProto) -> None:
    """Let reshapes that an exporter wrote for a batch of one keep any batch: a leading 1 becomes 0, *as it is*."""
    targets = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            targets[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    samples = {item.name for item in graph.input if item.name not in targets}
    for node in graph.node:
        if not samples.intersection(node.input):
            continue
        samples.update(node.output)
        target = targets.get(node.input[1]) if node.op_type == "Reshape" and not node.domain else None
        if target is not None and target.size > 1 and target[0] == 1 and not (target == 0).any():
            name = f"{node.name}/any_batch"
            free = np.concatenate([np.zeros(1, np.int64), target[1:].astype(np.int64)])
            graph.initializer.append(numpy_helper.from_array(free, name))
            node.input[1] = name


def run(model: onnx.ModelProto, samples: Mapping[str, Array], more: Sequence[str]) -> list[Array]:
    """Run a network, and give its outputs, then the values that ``more`` names.

    Raises:
        UnsupportedError: ``HSNN-F098``, if it does not run on a batch of samples.
    """
    import onnxruntime as ort

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    stated = {item.name for item in copy.graph.output}
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in more if name not in stated
    )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # Neurons are loops of small steps, for which a second thread only waits.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    names = [item.name for item in model.graph.output]
    try:
        session = ort.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return list(session.run([*names, *more], {item.name: samples[item.name] for item in session.get_inputs()}))
    except Exception as error:  # ONNX Runtime has no base class for what it raises
        raise UnsupportedError(
            "HSNN-F098",
            f"ONNX Runtime cannot run the network on a batch of samples: {error}",
            allowed="a network that takes any number of samples along its first axis, and samples of its shape",
            fix="export it with a free batch axis",
        ) from error


def add_record(model: onnx.ModelProto, record: Mapping[str, str]) -> None:
    """Add records to a model's metadata."""
    kept = {item.key: item.value for item in model.metadata_props if item.key not in record}
    helper.set_model_props(model, {**kept, **record})
