"""What enters a ``.net`` network: spikes, or values that neurons of the input layer turn into spikes.

The neurons of an input layer integrate in steps of 1/4096 what a synapse of the chip could only deliver in steps of
1/64. So they run on the host, with slayer's integers to the last bit, and what crosses to the chip is their spikes.
(netx leaves this transform to whoever feeds it.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from hsnn.errors import UnsupportedError
from hsnn.frontends.netx.layers import Adaptive, Cuba, InputLayer, Shape, SigmaDelta
from hsnn.frontends.netx.neurons import VOLTAGE_ONE
from hsnn.frontends.netx.parse_neurons import DECAY_ONE, READ_OUT
from hsnn.frontends.netx.sigma_delta import MESSAGE_ONE, delta
from hsnn.frontends.netx.synapses import WEIGHT_ONE, Train
from hsnn.ops import DOMAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hsnn.frontends.netx.graph import Graph

    Ints = NDArray[np.int64]

STATIC_MAX = 4096
"""Most timesteps for which one array is repeated."""
_STEP, _LOW, _HIGH = 1 / 32, -4.0, 254 / 64
"""slayer's 8-bit hook: steps of 2/64 from -256/64 to 254/64."""


def add_input(graph: Graph, layer: InputLayer, shape: Shape, *, timesteps: int, value: str, static: bool) -> Train:
    """Add what turns the input of the model into spikes.

    Args:
        graph: Where to.
        layer: Input layer.
        shape: Feature shape of the input.
        timesteps: Timesteps of a sample.
        value: Name of the input.
        static: Whether it has no time axis.

    Raises:
        UnsupportedError: ``HSNN-F072``, naming the layer.
    """
    if layer.neuron is None:
        if layer.weight is not None or layer.bias is not None:
            raise _refused(layer, "it has a weight or bias, but no neurons", "both or none")
        if static:
            raise _refused(layer, "it has no neurons that would turn an array into spikes", "spike trains as the input")
        train = graph.node(f"{DOMAIN}.TrainEncode", value, timesteps=timesteps, values="binary")
        return Train(train, shape, timesteps)
    neuron = layer.neuron
    if isinstance(neuron, SigmaDelta):
        return _changes(graph, layer, neuron, shape, timesteps=timesteps, value=value, static=static)
    base = neuron.base if isinstance(neuron, Adaptive) else neuron
    if not isinstance(base, Cuba) or base.weight_exp is not None or base.threshold >= READ_OUT:
        allowed = "CUBA or adaptive neurons that spike, or sigma-delta neurons"
        raise _refused(layer, "its neurons are resonators, read-outs, or divided by a norm", allowed)
    if isinstance(neuron, Adaptive) and base.threshold == 0:
        raise _refused(layer, "adaptive neurons with a vThMant of 0 fire at rest", "1 or more")
    if static and timesteps > STATIC_MAX:
        raise _refused(layer, f"one array for {timesteps} timesteps", f"{STATIC_MAX} timesteps, or trains")
    driven = _transformed(graph, layer, value)
    axes = list(range(2, 2 + len(shape)))
    if static:
        once = graph.node("Unsqueeze", driven, graph.constant([0], np.int64))
        driven = graph.node("Concat", *[once] * timesteps, axis=0)
    else:
        driven = graph.node("Transpose", driven, perm=[1, 0, *axes])
    spikes = _integrated(graph, neuron if isinstance(neuron, Adaptive) else base, driven, shape)
    turned = graph.node("Transpose", spikes, perm=[1, 0, *axes])
    train = graph.node(f"{DOMAIN}.TrainEncode", turned, timesteps=timesteps, values="binary")
    return Train(train, shape, timesteps)


def messages_in(graph: Graph, shape: Shape, *, timesteps: int, value: str) -> Train:
    """Add an input of messages, for a network that begins with sigma-delta neurons and no input layer."""
    train = graph.node(f"{DOMAIN}.TrainEncode", value, scale=MESSAGE_ONE, timesteps=timesteps, values="graded")
    return Train(train, shape, timesteps, spikes=False)


def _changes(
    graph: Graph, layer: InputLayer, neuron: SigmaDelta, shape: Shape, *, timesteps: int, value: str, static: bool
) -> Train:
    """Add the values on the host, rounded as slayer does, and neurons on the chip that send how they change."""
    if static and timesteps > STATIC_MAX:
        raise _refused(layer, f"one array for {timesteps} timesteps", f"{STATIC_MAX} timesteps, or trains")
    units = graph.node("Cast", _transformed(graph, layer, value), to=onnx.TensorProto.FLOAT)
    driven = graph.node("Mul", units, graph.constant(np.float64(1.0 / VOLTAGE_ONE)))
    if static:
        once = graph.node("Unsqueeze", driven, graph.constant([1], np.int64))
        driven = graph.node("Concat", *[once] * timesteps, axis=1)
    train = graph.node(f"{DOMAIN}.TrainEncode", driven, scale=MESSAGE_ONE, timesteps=timesteps, values="graded")
    return delta(graph, neuron, Train(train, shape, timesteps, spikes=False))


def _transformed(graph: Graph, layer: InputLayer, value: str) -> str:
    """Quantize, weigh and shift the values; the result counts in 1/4096 and is a whole number, in float64."""
    steps = graph.node("Round", graph.node("Mul", value, graph.constant(np.float64(1 / _STEP))))
    clipped = graph.node(
        "Clip", steps, graph.constant(np.float64(_LOW / _STEP)), graph.constant(np.float64(_HIGH / _STEP))
    )
    wide = graph.node("Cast", clipped, to=onnx.TensorProto.DOUBLE)
    weight = WEIGHT_ONE if layer.weight is None else layer.weight
    gain = weight * VOLTAGE_ONE * _STEP / WEIGHT_ONE
    scaled = graph.node("Mul", wide, graph.constant(np.float64(gain), np.float64))
    offset = (layer.bias or 0) * VOLTAGE_ONE / WEIGHT_ONE
    return graph.node("Add", scaled, graph.constant(np.float64(offset), np.float64))


def _integrated(graph: Graph, neuron: Cuba | Adaptive, driven: str, shape: Shape) -> str:
    """Run the neurons over time in whole numbers; float64 holds them exactly."""
    first = graph.node("Gather", driven, graph.constant(np.int64(0), np.int64), axis=0)
    rest = graph.node("Mul", first, graph.constant(np.float64(0.0), np.float64))
    body = _step(neuron, shape)
    states = len(body.output) - 1
    outputs = [f"{graph.layer}.{name}" for name in (*(f"state_{index}" for index in range(states)), "spikes")]
    graph.nodes.append(
        onnx.helper.make_node(
            "Scan", [*[rest] * states, driven], outputs, name=f"{graph.layer}.neurons", body=body, num_scan_inputs=1
        )
    )
    return outputs[-1]


def _step(neuron: Cuba | Adaptive, shape: Shape) -> onnx.GraphProto:
    """One timestep: states and input to states and spikes."""
    double, single = onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT
    base = neuron.base if isinstance(neuron, Adaptive) else neuron
    assert isinstance(base, Cuba)
    decays = {"u": base.current_decay, "v": base.voltage_decay}
    levels = {"threshold": np.asarray(base.threshold), "zero": np.zeros(())}
    states = ["u_next", "v_next"]
    nodes = [
        *_leak("u", "keep_u"),
        onnx.helper.make_node("Add", ["u_left", "x"], ["u_next"]),
        *_leak("v", "keep_v"),
        onnx.helper.make_node("Add", ["v_left", "u_next"], ["v_now"]),
    ]
    if isinstance(neuron, Adaptive):
        decays |= {"raised": neuron.threshold_decay, "against": neuron.refractory_decay}
        levels["step"] = _broadcast(neuron.threshold_step, len(shape))
        states += ["raised_next", "against_next"]
        nodes += _adapted()
    else:
        nodes += [
            onnx.helper.make_node("Greater", ["v_now", "threshold"], ["fired"]),
            onnx.helper.make_node("Where", ["fired", "zero", "v_now"], ["v_next"]),
        ]
    nodes.append(onnx.helper.make_node("Cast", ["fired"], ["spikes"], to=single))
    arrays = {f"keep_{name}": _broadcast((DECAY_ONE - decay) / DECAY_ONE, len(shape)) for name, decay in decays.items()}
    arrays |= {name: level * (VOLTAGE_ONE / WEIGHT_ONE) for name, level in levels.items()}
    return onnx.helper.make_graph(
        nodes,
        "timestep",
        _values((*decays, "x"), double, shape),
        [*_values(states, double, shape), *_values(("spikes",), single, shape)],
        [onnx.numpy_helper.from_array(np.asarray(array, np.float64), name) for name, array in arrays.items()],
    )


def _adapted() -> list[onnx.NodeProto]:
    """Let neurons fire whose threshold rises with every spike, and which are never reset."""
    node = onnx.helper.make_node
    return [
        *_leak("raised", "keep_raised"),
        *_leak("against", "keep_against"),
        node("Add", ["raised_left", "threshold"], ["level"]),
        node("Sub", ["v_now", "against_left"], ["reached"]),
        node("GreaterOrEqual", ["reached", "level"], ["fired"]),
        node("Identity", ["v_now"], ["v_next"]),
        node("Add", ["raised_left", "step"], ["raised_more"]),
        node("Where", ["fired", "raised_more", "raised_left"], ["raised_next"]),
        node("Add", ["level", "level"], ["twice"]),
        node("Add", ["against_left", "twice"], ["against_more"]),
        node("Where", ["fired", "against_more", "against_left"], ["against_next"]),
    ]


def _leak(state: str, keep: str) -> list[onnx.NodeProto]:
    """Multiply a state and round toward zero."""
    product, sign, size = f"{state}_product", f"{state}_sign", f"{state}_size"
    return [
        onnx.helper.make_node("Mul", [state, keep], [product]),
        onnx.helper.make_node("Sign", [product], [sign]),
        onnx.helper.make_node("Abs", [product], [f"{size}_real"]),
        onnx.helper.make_node("Floor", [f"{size}_real"], [size]),
        onnx.helper.make_node("Mul", [sign, size], [f"{state}_left"]),
    ]


def _values(names: Sequence[str], element: int, shape: Shape) -> list[onnx.ValueInfoProto]:
    return [onnx.helper.make_tensor_value_info(name, element, ["batch", *shape]) for name in names]


def _broadcast(values: NDArray[np.generic], axes: int) -> NDArray[np.generic]:
    return values.reshape(values.shape + (1,) * (axes - 1) * bool(values.ndim))


def _refused(layer: InputLayer, found: str, allowed: str) -> UnsupportedError:
    return UnsupportedError("HSNN-F072", f"layer {max(layer.index, 0)} (input): {found}", allowed=allowed)
