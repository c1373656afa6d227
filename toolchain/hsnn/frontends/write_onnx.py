"""Write a hybrid model as an ONNX file for other programs, its time axes said where a reader looks.

The file is the hybrid model itself: ordinary layers are ONNX operators, and each operator of the hsnn domain comes with
its meaning as an ONNX function of standard operators, which stock ONNX Runtime runs without hsnn. Reading the file back
gives the same model. With ``inline`` the functions are put in the place of the operators, for programs that know no
functions; hsnn then no longer sees which operators are neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsnn.ir.hybrid import HybridModel, value_shape
from hsnn.ops import DOMAIN, OPS
from hsnn.ops.functions import inline_functions

if TYPE_CHECKING:
    import onnx

_GRAPH = """\
A hybrid model of hsnn. Inputs and outputs have the batch as axis 0. Values between encoders and decoders are spike
trains (timestep, batch, *feature), or (timestep * batch, *feature) between MergeTime and SplitTime; the state of every
neuron is zero at timestep 0 and nothing is kept between calls.
"""


def onnx_bytes(hybrid: HybridModel, *, inline: bool = False) -> bytes:
    """Return a hybrid model as an ONNX file; equal models give equal bytes.

    Args:
        hybrid: The model, which is not changed.
        inline: Whether to leave no functions and no operators of the hsnn domain.
    """
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(hybrid.proto)
    roles = _roles(model.graph)
    coded = [f"{node.name}: {_timing(node)}" for node in model.graph.node if _timing(node)]
    if inline:
        model = inline_functions(model)
        kept = [item for item in model.opset_import if item.domain != DOMAIN]
        del model.opset_import[:]
        model.opset_import.extend(kept)
    model.graph.doc_string = _GRAPH + "".join(f"{line}\n" for line in coded)
    for info in (*model.graph.input, *model.graph.output):
        info.doc_string = described(info, roles.get(info.name, ""))
    return bytes(model.SerializeToString(deterministic=True))


def described(info: onnx.ValueInfoProto, role: str) -> str:
    """Say the shape of an input or output: which axis is the batch, which is time."""
    sizes = [str(extent) if extent is not None else "" for extent in value_shape(info)]
    axes = ["batch", *sizes[1:]] if sizes else []
    if role == "train" and len(axes) > 1:
        axes[1] = f"timestep={axes[1]}"
    return f"({', '.join(axes)}){': spikes or values of each timestep' if role == 'train' else ''}"


def _roles(graph: onnx.GraphProto) -> dict[str, str]:
    """Inputs and outputs that have a time axis."""
    read = {node.input[0]: "train" for node in graph.node if node.domain == DOMAIN and node.op_type == "TrainEncode"}
    made = {node.output[0]: "train" for node in graph.node if node.domain == DOMAIN and node.op_type == "TrainDecode"}
    return read | made


def _timing(node: onnx.NodeProto) -> str:
    """What an encoder or a decoder does to the time axis, or an empty string."""
    if node.domain != DOMAIN or node.op_type not in OPS or OPS[node.op_type].kind not in ("encoder", "decoder"):
        return ""
    steps = [item.i for item in node.attribute if item.name == "timesteps"]
    axis = f"adds axis 0 of {steps[0]} timesteps" if steps else "adds axis 0, the timesteps"
    return f"{node.op_type} {axis}" if OPS[node.op_type].kind == "encoder" else f"{node.op_type} takes axis 0 away"
