"""ONNX Runtime, quiet and with one thread, on a model in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    Array = NDArray[Any]

_SILENT = 4


def execute(model: onnx.ModelProto, values: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
    """Run a model.

    Args:
        model: The model.
        values: An array for each of its inputs, and maybe more.
        names: Outputs to return, in order.

    Raises:
        Exception: Whatever ONNX Runtime raises; it has no base class for that.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    # Failures come as exceptions; what it prints besides would reach the user twice.
    options.log_severity_level = _SILENT
    # Neurons are loops of small steps, for which a second thread only waits.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    once = ort.RunOptions()
    once.log_severity_level = _SILENT
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    inputs = {item.name: values[item.name] for item in session.get_inputs()}
    return list(session.run(list(names), inputs, once))
