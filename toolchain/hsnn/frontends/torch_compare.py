"""Compare a torch module with the hybrid model made from it, value by value and spike by spike.

Two float programs never agree to the last bit, and a spike can flip where a voltage was next to its
threshold. What follows a flip in the same sample then differs for a good reason. So only first flips are
judged: those with no flip before them, in an earlier layer or in the same neuron. An encoder that rescales over
the batch carries a flip from one sample to all others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hsnn.errors import VerificationError
from hsnn.frontends.live import LiveModel, adapt, has_foreign_neurons
from hsnn.frontends.torch_state import call, inference_copy
from hsnn.ir.hybrid import HybridModel, module_of
from hsnn.nn.adaptive import AdaptiveLif
from hsnn.nn.bit_plane_encode import BitPlaneEncode
from hsnn.nn.counting import CountingLif, RecurrentCountingLif
from hsnn.nn.encoders import GradedEncode
from hsnn.nn.fixed import FixedLif, FixedRecurrentLif
from hsnn.nn.fixed_adaptive import FixedAdaptiveLif, FixedRecurrentAdaptiveLif
from hsnn.nn.fixed_sigma_delta import FixedDelta, FixedSigmaDelta
from hsnn.nn.neurons import Lif, RecurrentLif
from hsnn.nn.resonate import FixedResonateFire
from hsnn.nn.sigma_delta import Delta, SigmaDelta
from hsnn.nn.symbolic import OpLayer
from hsnn.ops import DOMAIN, OPS

Array = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class NeuronAgreement:
    """How the spikes of one encoder or neuron layer agree.

    Attributes:
        node: Name of the node in the hybrid model.
        module: Path of the torch module.
        spikes: Values other than zero that torch sent, over all samples and timesteps.
        flips: Values that differ.
        first_flips: Those with no flip before them in their sample.
        margin: Largest relative distance from the threshold at a first flip, 0 if there is none.
    """

    node: str
    module: str
    spikes: int
    flips: int
    first_flips: int
    margin: float


@dataclass(frozen=True, slots=True)
class TorchComparison:
    """How a hybrid model agrees with its torch module.

    Attributes:
        samples: Samples compared.
        flipped_samples: Samples in which a spike flipped; their outputs are left out of the differences, and so are
            outputs that mix samples, if there is one.
        max_abs: Largest difference of an output.
        max_rel: The same, relative to the largest value of that output.
        neurons: One entry for each encoder and neuron layer, in the order in which torch calls them.
        tolerance: Relative distance from its threshold within which a value may flip.
    """

    samples: int
    flipped_samples: int
    max_abs: float
    max_rel: float
    neurons: tuple[NeuronAgreement, ...]
    tolerance: float

    @property
    def flips(self) -> int:
        """Spikes that differ, in all layers."""
        return sum(item.flips for item in self.neurons)

    @property
    def flips_explained(self) -> bool:
        """Whether every first flip happened next to its threshold."""
        return all(item.margin <= self.tolerance for item in self.neurons)


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    path: str
    layer: OpLayer
    x: Tensor
    y: Tensor


def compare_with_torch(
    module: nn.Module, hybrid: HybridModel, inputs: tuple[Tensor, ...], *, tolerance: float = 1e-5
) -> TorchComparison:
    """Run both on the same samples.

    Args:
        module: The torch module; it is left as it is.
        hybrid: What :func:`~hsnn.frontends.torch.from_torch` made of it.
        inputs: One tensor for each input, batch axis first.
        tolerance: Relative distance from its threshold within which a value may flip.

    Raises:
        UsageError: ``HSNN-F010``, if the module fails on the inputs.
        VerificationError: ``HSNN-V010``, if the hybrid model is not one of this module.
    """
    if has_foreign_neurons(module):
        calls, expected = _run_live(adapt(module, inputs), inputs)
    else:
        calls, expected = _run_torch(module, inputs)
    nodes = _matching_nodes(hybrid, calls)
    found, values = _run_onnx(hybrid, inputs, [node.output[0] for node in nodes])
    samples = int(inputs[0].shape[0])
    flipped = np.zeros(samples, np.bool_)
    neurons = []
    for made, node, value in zip(calls, nodes, values, strict=True):
        if isinstance(made.layer, BitPlaneEncode) and made.layer.rescale == "batch":
            flipped |= flipped.any()
        agreement, here = _compare_spikes(made, node.name, value, flipped)
        neurons.append(agreement)
        flipped |= here
    max_abs, max_rel = _compare_outputs(expected, found, ~flipped)
    return TorchComparison(samples, int(flipped.sum()), max_abs, max_rel, tuple(neurons), tolerance)


def compare_with_library(live: LiveModel, inputs: tuple[Tensor, ...], *, tolerance: float = 1e-5) -> TorchComparison:
    """Compare a model with neurons of other libraries, run by these, with the model that hsnn layers make of it.

    Args:
        live: Both models.
        inputs: One tensor for each input, batch axis first.
        tolerance: Relative distance from its threshold within which a value may flip.
    """
    ours, outputs = _run_torch(live.rolled, inputs)
    theirs, expected = _run_live(live, inputs)
    flipped = np.zeros(int(inputs[0].shape[0]), np.bool_)
    neurons = []
    for made, call_of_ours in zip(theirs, ours, strict=True):
        agreement, here = _compare_spikes(made, made.path, call_of_ours.y.numpy(), flipped)
        neurons.append(agreement)
        flipped |= here
    max_abs, max_rel = _compare_outputs(expected, outputs, ~flipped)
    return TorchComparison(flipped.size, int(flipped.sum()), max_abs, max_rel, tuple(neurons), tolerance)


def _run_live(live: LiveModel, inputs: tuple[Tensor, ...]) -> tuple[list[_Call], list[Array]]:
    """Run the library's model; what its neurons sent stands in the calls of the layers that we made of them."""
    ours, _ = _run_torch(live.rolled, inputs)
    outputs, sent = live.run_original(inputs)
    calls = []
    for made in ours:
        spikes = sent.get(made.path)
        neuron = live.neurons.get(made.path)
        if spikes is not None and spikes.numel() and neuron is not None:
            if isinstance(made.layer, Lif | FixedLif | AdaptiveLif | FixedAdaptiveLif | FixedResonateFire):
                # A layer that sees all features on one axis has them in the same order.
                made = replace(made, y=(spikes != 0).float().reshape(made.y.shape))
            elif isinstance(made.layer, FixedSigmaDelta | CountingLif):
                made = replace(made, y=spikes.reshape(made.y.shape))
        calls.append(made)
    return calls, [item.numpy() for item in outputs]


def _run_torch(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[list[_Call], list[Array]]:
    copy = inference_copy(module)
    calls: list[_Call] = []

    def record(path: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            if isinstance(layer, OpLayer) and layer.decision_margin(args[0]) is not None:
                calls.append(_Call(path, layer, args[0].clone(), output.clone()))

        return hook

    for path, part in copy.named_modules():
        part.register_forward_hook(record(path))
    with torch.no_grad():
        outputs = call(copy, inputs)
    return calls, [item.numpy() for item in outputs]


def _matching_nodes(hybrid: HybridModel, calls: list[_Call]) -> list[onnx.NodeProto]:
    nodes: dict[tuple[str, str], list[onnx.NodeProto]] = {}
    for node in hybrid.proto.graph.node:
        if node.domain == DOMAIN and OPS[node.op_type].kind in ("encoder", "neuron"):
            nodes.setdefault((module_of(node), node.op_type), []).append(node)
    matched = []
    for made in calls:
        left = nodes.get((made.path, made.layer.op.name), [])
        if not left:
            raise VerificationError(
                "HSNN-V010",
                f"the hybrid model has no node for {made.path!r} ({made.layer.op.name})",
                allowed="a model exported from this very module",
                fix="export it again; a layer whose output nothing uses must go",
            )
        matched.append(left.pop(0))
    return matched


def _run_onnx(hybrid: HybridModel, inputs: tuple[Tensor, ...], values: list[str]) -> tuple[list[Array], list[Array]]:
    import onnxruntime as ort

    model = onnx.ModelProto()
    model.CopyFrom(hybrid.proto)
    outputs = [item.name for item in hybrid.outputs]
    infos = {item.name: item for item in model.graph.value_info}
    model.graph.output.extend(infos[name] for name in dict.fromkeys(values) if name not in outputs)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {item.name: tensor.detach().numpy() for item, tensor in zip(hybrid.inputs, inputs, strict=True)}
    results = session.run([*outputs, *values], feeds)
    return results[: len(outputs)], results[len(outputs) :]


def _compare_spikes(made: _Call, node: str, value: Array, flipped: Bools) -> tuple[NeuronAgreement, Bools]:
    quantum = _quantum(made.layer)
    flips: Bools = np.abs(made.y.numpy() - value) > quantum / 2
    before: NDArray[np.int64] = np.cumsum(flips, axis=0) - flips
    if isinstance(made.layer, RecurrentLif | FixedRecurrentLif | FixedRecurrentAdaptiveLif | RecurrentCountingLif):
        before = before.sum(axis=2, keepdims=True)
    fresh = ~flipped.reshape(1, -1, *(1,) * (flips.ndim - 2))
    first = flips & (before == 0) & fresh
    with torch.no_grad():
        margin = made.layer.decision_margin(made.x)
    worst = float(margin.numpy()[first].max()) if margin is not None and first.any() else 0.0
    agreement = NeuronAgreement(
        node,
        made.path,
        int(torch.count_nonzero(made.y)),
        int(flips.sum()),
        int(first.sum()),
        worst,
    )
    return agreement, np.asarray(flips.swapaxes(0, 1).reshape(flips.shape[1], -1).any(axis=1), np.bool_)


def _quantum(layer: OpLayer) -> float:
    """Smallest difference between two values that the layer can send."""
    if isinstance(layer, GradedEncode):
        return layer.step
    if isinstance(layer, FixedDelta):
        return layer.resolution
    if isinstance(layer, Delta | SigmaDelta):
        return layer.quantum or math.inf  # without a threshold nothing is decided
    return 1.0


def _compare_outputs(expected: list[Array], found: list[Array], keep: Bools) -> tuple[float, float]:
    max_abs = max_rel = 0.0
    for a, b in zip(expected, found, strict=True):
        if a.shape != b.shape:
            raise VerificationError(
                "HSNN-V010",
                f"an output has shape {a.shape} in torch and {b.shape} in the hybrid model",
                fix="name the model as it was compiled",
            )
        gap = np.abs(a.astype(np.float64) - b)
        if a.ndim and a.shape[0] == keep.size:
            gap = gap[keep]
        elif keep.size not in a.shape and not keep.all():
            continue  # It mixes samples, as a mean over them does, and a spike flipped in one of them.
        largest = float(np.max(gap, initial=0.0))
        max_abs = max(max_abs, largest)
        max_rel = max(max_rel, largest / max(float(np.abs(a).max()), 1e-12) if largest else 0.0)
    return max_abs, max_rel
