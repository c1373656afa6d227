"""What the neurons of a hybrid ONNX model hold over time: their functions made to send their states too."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from hsnn.ir.hybrid import HybridModel

Array = NDArray[np.float32]

_SPIKING = {"u": "u_next", "driven": "driven", "v_in": "v_in", "v": "v_next"}
_COUNTING = {**_SPIKING, "v_in": "v_open"}
KEPT = {
    "Lif": _SPIKING,
    "RecurrentLif": _SPIKING,
    "CountingLif": _COUNTING,
    "RecurrentCountingLif": _COUNTING,
    "LeakyIntegrator": {"u": "u_next", "driven": "driven", "v": "v_next"},
}
"""What each operator's ONNX function holds at a timestep, under the name that it has there: the current, what of it
goes into the voltage, the voltage before the reset and behind it."""


def states_over_time(
    hybrid: HybridModel, feeds: Mapping[str, Array]
) -> tuple[list[tuple[onnx.NodeProto, dict[str, Array]]], list[Array]]:
    """Run a model.

    Args:
        hybrid: The model.
        feeds: An array for each input, batch axis first.

    Returns:
        For each neuron its node and what :data:`KEPT` names, with ``s`` for what it sent, each
        ``(timestep, batch, *feature)``; and the outputs of the model.
    """
    model = onnx.ModelProto()
    model.CopyFrom(hybrid.proto)
    for function in model.functions:
        _opened(function)
    names: list[tuple[onnx.NodeProto, dict[str, str]]] = []
    for node in model.graph.node:
        if node.op_type in KEPT:
            sent = node.output[0]
            held = {name: f"{sent}:{name}" for name in KEPT[node.op_type]}
            node.output.extend(held.values())
            names.append((node, {"s": sent, **held}))
    known = [item.name for item in model.graph.output]
    wanted = list(dict.fromkeys((*known, *(name for _, held in names for name in held.values()))))
    for name in wanted[len(known) :]:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = dict(zip(wanted, session.run(wanted, dict(feeds)), strict=True))
    states = [(node, {name: found[value] for name, value in held.items()}) for node, held in names]
    return states, [found[name] for name in known]


def _opened(function: onnx.FunctionProto) -> None:
    """Make a neuron's function send its states over time too."""
    for node in function.node:
        if node.op_type != "Scan" or function.name not in KEPT:
            continue
        body = next(item.g for item in node.attribute if item.name == "body")
        for name, inside in KEPT[function.name].items():
            body.node.append(onnx.helper.make_node("Identity", [inside], [f"{name}_over_time"]))
            body.output.append(onnx.helper.make_tensor_value_info(f"{name}_over_time", onnx.TensorProto.FLOAT, None))
            node.output.append(f"{name}_sequence")
            function.output.append(f"{name}_sequence")
