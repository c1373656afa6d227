"""From a torch module to a hybrid ONNX model.

::

    module -> checks -> torch.export -> torch.onnx -> tidy -> checks -> HybridModel

The module is copied first (parameters shared), so the caller's keeps its mode and its state.
"""

from __future__ import annotations

import re

from hsnn.errors import UnsupportedError, UsageError
from hsnn.ir.hybrid import HybridModel
from hsnn.libraries import named_if_missing

with named_if_missing():
    import onnx
    import onnx_ir
    from torch import Tensor, nn

    from hsnn.frontends.finish import finish
    from hsnn.frontends.live import adapt, has_foreign_neurons
    from hsnn.frontends.tidy import tidy
    from hsnn.frontends.torch_compare import (
        NeuronAgreement,
        TorchComparison,
        compare_with_library,
        compare_with_torch,
    )
    from hsnn.frontends.torch_load import check_finite, example_inputs, load_factory, load_weights
    from hsnn.frontends.torch_state import check_stateless, inference_copy
    from hsnn.frontends.torch_trace import BATCH, quiet_loggers, trace

__all__ = [
    "NeuronAgreement",
    "TorchComparison",
    "compare_with_library",
    "compare_with_torch",
    "example_inputs",
    "from_torch",
    "load_factory",
    "load_weights",
]


_LIBRARY_TOLERANCE = 1e-4
"""Largest relative difference of an output between a library's own model and ours, samples without a flip."""


@quiet_loggers()
def from_torch(module: nn.Module, example_inputs: tuple[Tensor, ...]) -> HybridModel:
    """Export a torch module that uses :mod:`hsnn.nn` layers, or neurons of other libraries.

    Args:
        module: Any module; it is exported in eval mode and left as it is.
        example_inputs: One tensor for each argument of ``forward``, batch axis first.

    Returns:
        The hybrid model; node names are ``path.of.module/Operator``, weights have their torch names, outputs those of
        the keys or fields that the module returns them under.

    Raises:
        UsageError: ``HSNN-F005``, if a weight is infinite or NaN; ``HSNN-F006``, if the example inputs are no
            tuple of tensors; ``HSNN-F010``, if the module fails on them.
        UnsupportedError: ``HSNN-F011`` to ``HSNN-F018`` for what cannot be exported, and those of
            :func:`~hsnn.frontends.finish.finish`; ``HSNN-F090`` to ``HSNN-F095`` for neurons of other libraries.
    """
    _check_inputs(example_inputs)
    check_finite((*module.named_parameters(), *module.named_buffers()), where=type(module).__name__)
    returned: tuple[str, ...] | None = None
    if has_foreign_neurons(module):
        module, returned = _of_other_libraries(module, example_inputs)
    check_stateless(module, example_inputs)
    model, names = trace(inference_copy(module), example_inputs)
    proto = onnx_ir.to_proto(tidy(model, returned or names))
    _name_batch_axis(proto)
    return finish(proto)


def _of_other_libraries(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the model with its neurons as hsnn layers, checked against the libraries, and names for its outputs."""
    live = adapt(module, inputs)
    found = compare_with_library(live, inputs)
    if found.flips_explained and found.max_rel <= _LIBRARY_TOLERANCE:
        return live.rolled, live.outputs
    worst = max(found.neurons, key=lambda item: item.margin, default=None)
    where = f" first in {worst.module!r}" if worst and worst.margin > found.tolerance else ""
    raise UnsupportedError(
        "HSNN-F095",
        f"what hsnn makes of {type(module).__name__} differs from what the module computes{where}: "
        f"{found.flips} spikes, outputs by {found.max_rel:.2g}",
        allowed="neurons that start from zero at every call and are not reset in between",
        fix="take resets and changes of states out of forward, or register the neuron with hsnn.register_neuron",
    )


def _check_inputs(inputs: tuple[Tensor, ...]) -> None:
    if not isinstance(inputs, tuple) or not inputs or not all(isinstance(item, Tensor) for item in inputs):
        raise UsageError(
            "HSNN-F006",
            f"example inputs are a {type(inputs).__name__}",
            allowed="a tuple of tensors",
            fix="put them into a tuple, one tensor for each input",
        )
    batches = {item.shape[0] if item.ndim else 0 for item in inputs}
    if len(batches) > 1 or 0 in batches:
        raise UsageError(
            "HSNN-F006",
            f"example inputs have shapes {', '.join(str(tuple(item.shape)) for item in inputs)}",
            allowed="one batch size, at least 1, as the first axis of all",
            fix="give every input the same number of samples, as the first axis",
        )


def _name_batch_axis(proto: onnx.ModelProto) -> None:
    """Call the batch axis by its name: torch numbers its symbols."""
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    if not dims or not dims[0].dim_param:
        return
    symbol = re.compile(rf"\b{re.escape(dims[0].dim_param)}\b")
    for item in (*proto.graph.input, *proto.graph.value_info, *proto.graph.output):
        for dim in item.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = symbol.sub(BATCH, dim.dim_param)
