"""From a ``.net`` file to a hybrid model whose integers are those of the file.

Every weight, bias, threshold and decay becomes a float32 constant that holds it exactly, and every neuron fixes its
scale (:data:`hsnn.ir.hybrid.SCALE_KEY`), so the quantizer gives back the integers of the file or refuses.

When neurons work is not in the file. Two schedules are known:

``lava``
    As netx runs it on Lava with a pipelined reset: the first timestep of a layer is the one in which its first input
    arrives. Lava sends what hsnn calls timestep ``t`` at ``t + n``, with ``n`` synaptic layers. slayer computes the
    same with ``delay_shift=False``.
``slayer``
    As slayer trains by default: every block sends one timestep late, and biases work from the first timestep of the
    sample. slayer sends what hsnn calls timestep ``t`` at ``t + 1``, since the last block is late too.

Sigma-delta layers are the other way around: slayer does not delay them, and Lava, which cannot reset them, runs their
biases from the first timestep on. There the output has no offset in either schedule.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import onnx
import onnx.helper
from typing_extensions import assert_never

from hsnn.errors import UnsupportedError, UsageError
from hsnn.frontends.finish import finish
from hsnn.frontends.netx import synapses
from hsnn.frontends.netx.graph import Graph
from hsnn.frontends.netx.inputs import add_input, messages_in
from hsnn.frontends.netx.layers import (
    AverageLayer,
    ConcatLayer,
    ConvLayer,
    DenseLayer,
    FlattenLayer,
    InputLayer,
    Layer,
    NetxNetwork,
    PoolLayer,
    Resonator,
    Shape,
    SigmaDelta,
)
from hsnn.frontends.netx.neurons import Place, add_neurons, exponent_of
from hsnn.frontends.netx.read import read_net
from hsnn.frontends.netx.resonators import add_resonators
from hsnn.frontends.netx.sigma_delta import sends_changes
from hsnn.frontends.netx.synapses import Train
from hsnn.ir.hybrid import RECORD_KEY, HybridModel
from hsnn.ops import DOMAIN, OPSET_VERSION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

Schedule: TypeAlias = Literal["lava", "slayer"]
INPUT, OUTPUT = "x", "y"
_OPSET, _IR_VERSION = 20, 10


@dataclass(frozen=True, slots=True)
class NetxOptions:
    """What a ``.net`` file leaves open.

    Attributes:
        schedule: When neurons work; see the module.
        timesteps: Timesteps of a sample; None to take what older files say.
        input_shape: Feature shape of the input, for files that do not say it.
        static_input: Whether one array a sample enters, the same at every timestep, instead of a train.
    """

    schedule: Schedule = "lava"
    timesteps: int | None = None
    input_shape: Shape | None = None
    static_input: bool = False


def from_netx(path: str | os.PathLike[str], options: NetxOptions | None = None) -> HybridModel:
    """Read a ``.net`` file as a hybrid model.

    Its input ``x`` is ``(batch, timestep, *feature)``, or ``(batch, *feature)`` with ``static_input``; its output ``y``
    is ``(batch, timestep, *feature)``: spikes, or voltages in slayer's units where the last layer does not spike.

    Args:
        path: The file.
        options: What it leaves open.

    Raises:
        UsageError: ``HSNN-F070`` or ``HSNN-F073`` as :func:`~hsnn.frontends.netx.read.read_net`; ``HSNN-F074`` if the
            number of timesteps or the shape of the input is not known.
        UnsupportedError: ``HSNN-F071`` or ``HSNN-F072``, naming the layer.
    """
    return build(read_net(path), options or NetxOptions())


def build(network: NetxNetwork, options: NetxOptions) -> HybridModel:
    """Turn what a file says into a hybrid model; raises as :func:`from_netx`."""
    timesteps = options.timesteps or network.timesteps
    if timesteps is None:
        raise UsageError(
            "HSNN-F074", "the file does not say how many timesteps a sample has", fix="add --timesteps, such as 32"
        )
    graph = Graph()
    first = network.layers[0]
    shape = _input_shape(network.layers, options)
    entering = first if isinstance(first, InputLayer) else InputLayer(-1, shape)
    changes = sends_changes(network.layers)
    if _reads_messages(network.layers) and not options.static_input:
        train = messages_in(graph, shape, timesteps=timesteps, value=INPUT)
    else:
        train = add_input(graph, entering, shape, timesteps=timesteps, value=INPUT, static=options.static_input)
    if changes or isinstance(first, InputLayer):
        train = replace(train, shift=_shift(options.schedule, changes=changes))
    layers = network.layers[isinstance(first, InputLayer) :]
    for position, layer in enumerate(layers):
        rest = layers[position + 1 :]
        last = all(isinstance(item, AverageLayer | FlattenLayer) for item in rest)
        graph.layer = f"layer{layer.index}"
        if isinstance(layer, AverageLayer) and last:
            break
        train = _add_layer(graph, layer, train, last=last, schedule=options.schedule)
    leaving = _decode(graph, train, [layer for layer in layers if isinstance(layer, AverageLayer)])
    held = (timesteps, *shape) if not options.static_input else shape
    return finish(_model(graph, held, (timesteps, *leaving), _record(network, options, train, timesteps)))


def _reads_messages(layers: tuple[Layer, ...]) -> bool:
    """Tell whether what enters are messages: the first neurons are sigma-delta neurons behind synapses."""
    neurons = [layer.neuron for layer in layers if isinstance(layer, InputLayer | DenseLayer | ConvLayer | PoolLayer)]
    seen = next((neuron for neuron in neurons if neuron is not None), None)
    return isinstance(seen, SigmaDelta) and not (isinstance(layers[0], InputLayer) and layers[0].neuron is not None)


def _input_shape(layers: tuple[Layer, ...], options: NetxOptions) -> Shape:
    """Feature shape of what enters, from the first layer or from the options."""
    first = next((layer for layer in layers if not isinstance(layer, FlattenLayer)), layers[0])
    if isinstance(first, InputLayer):
        found: Shape | None = first.shape
    elif isinstance(first, DenseLayer):
        found = (int(first.weight.shape[1]),)
    else:
        found = None
    wanted = options.input_shape
    if wanted is None and found is None:
        raise UsageError(
            "HSNN-F074",
            f"the file begins with layer {first.index}, and does not say the shape of what it reads",
            fix="add --input-shape, such as 3x32x32 for channels, height and width",
        )
    if wanted is not None and found is not None and np.prod(wanted) != np.prod(found):
        raise UsageError("HSNN-F074", f"the input shape is given as {wanted}", allowed=f"{found}, as the file says")
    shape = wanted or found or ()
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise UsageError("HSNN-F074", f"the input shape is given as {shape}", allowed="(N,) or (C, H, W)")
    return shape


def _add_layer(graph: Graph, layer: Layer, train: Train, *, last: bool, schedule: Schedule) -> Train:
    match layer:
        case InputLayer():
            raise UnsupportedError("HSNN-F071", f"layer {layer.index} is an input", allowed="an input as layer 0")
        case FlattenLayer():
            if layer.size != np.prod(train.shape):
                found, allowed = f"layer {layer.index} flattens {layer.size} neurons", f"{train.shape}, which it reads"
                raise UnsupportedError("HSNN-F071", found, allowed=allowed)
            return synapses.flattened(graph, train)
        case AverageLayer():
            raise _refused(layer.index, "an average before the last layer", "averages at the end of the network")
        case ConcatLayer():
            raise _refused(layer.index, "'concat', which is described but which no program writes or reads", "a chain")
        case DenseLayer() | ConvLayer() | PoolLayer():
            return _add_neural(graph, layer, train, Place(layer.index, last), schedule)
        case _:
            assert_never(layer)


def _add_neural(
    graph: Graph, layer: DenseLayer | ConvLayer | PoolLayer, train: Train, place: Place, schedule: Schedule
) -> Train:
    """Add a layer with synapses and neurons."""
    if isinstance(layer.neuron, Resonator):
        return _sent(add_resonators(graph, layer, train, layer.neuron), layer.delay, _shift(schedule))
    if layer.imaginary is not None:
        raise _refused(layer.index, "complex synapses, which belong to resonators", "CUBA neurons and real weights")
    exponent = exponent_of(layer.neuron, layer.index)
    match layer:
        case DenseLayer():
            drive = synapses.dense(graph, layer, train, exponent=exponent)
        case ConvLayer():
            drive = synapses.conv(graph, layer, train, exponent=exponent)
        case PoolLayer():
            drive = synapses.pool(graph, layer, train)
    bias = None if isinstance(layer, PoolLayer) or layer.bias is None else layer.bias << exponent
    recurrent = layer.recurrent << exponent if isinstance(layer, DenseLayer) and layer.recurrent is not None else None
    integrates = schedule == "lava"
    sent = add_neurons(graph, layer.neuron, drive, bias=bias, recurrent=recurrent, place=place, integrates=integrates)
    return _sent(sent, layer.delay, _shift(schedule, changes=isinstance(layer.neuron, SigmaDelta)))


def _shift(schedule: Schedule, *, changes: bool = False) -> int:
    """Return the timesteps that what a layer sends is late.

    Sigma-delta layers are not late in slayer. On Lava they are never reset, so their biases work from the first
    timestep on, whenever the first input arrives.
    """
    return int(schedule == ("lava" if changes else "slayer"))


def _sent(sent: Train, delays: Ints | None, shift: int) -> Train:
    """Let what a layer sends wait: by the delays of its neurons, and by as many timesteps."""
    if delays is not None and delays.any():
        whole = np.broadcast_to(delays.reshape(-1, *(1,) * (len(sent.shape) - 1)), sent.shape)
        sent = replace(sent, delays=whole.copy())
    return replace(sent, shift=shift)


def _decode(graph: Graph, train: Train, averages: list[AverageLayer]) -> Shape:
    """Give the train back, batch axis first, and average groups of its neurons; returns the feature shape."""
    if train.delays is not None:
        train = _late_output(graph, train)
    value = graph.node(f"{DOMAIN}.TrainDecode", train.value)
    if train.sums:
        value = graph.node("CumSum", value, graph.constant(np.int64(1), np.int64))
    size, shape = int(np.prod(train.shape)), train.shape
    for layer in averages:
        if size % layer.groups:
            raise UnsupportedError(
                "HSNN-F071",
                f"layer {layer.index} averages {size} neurons in {layer.groups} groups",
                allowed="a divisor",
            )
        graph.layer = f"layer{layer.index}"
        shaped = graph.node("Reshape", value, graph.constant([0, 0, layer.groups, size // layer.groups], np.int64))
        value = graph.node("ReduceMean", shaped, graph.constant([3], np.int64), keepdims=0)
        size, shape = layer.groups, (layer.groups,)
    graph.nodes[-1].output[0] = OUTPUT
    return shape


def _late_output(graph: Graph, train: Train) -> Train:
    """Delay what leaves the network neuron by neuron; the common timestep of slayer's blocks is reported instead."""
    train = synapses.flattened(graph, train)
    groups = replace(train, shift=0).groups()
    parts, order = [], []
    for steps, members in groups:
        indices = np.flatnonzero(members)
        chosen = graph.node("Gather", train.value, graph.constant(indices, np.int64), axis=2)
        parts.append(graph.node(f"{DOMAIN}.Delay", chosen, steps=steps) if steps else chosen)
        order.append(indices)
    joined = graph.node("Concat", *parts, axis=2) if len(parts) > 1 else parts[0]
    places = np.argsort(np.concatenate(order))
    return replace(train, value=graph.node("Gather", joined, graph.constant(places, np.int64), axis=2), delays=None)


def _record(network: NetxNetwork, options: NetxOptions, train: Train, timesteps: int) -> dict[str, str]:
    """What the artifact keeps of how the file was understood."""
    first = network.layers[0]
    has_values = isinstance(first, InputLayer) and first.neuron is not None
    neural = [layer for layer in network.layers if isinstance(layer, DenseLayer | ConvLayer | PoolLayer)]
    sends = bool(neural) and isinstance(neural[-1].neuron, SigmaDelta)
    # slayer's read-out blocks are the only ones that are never late.
    late = 0 if sends else int(train.spikes) if options.schedule == "slayer" else len(neural)
    return {
        "format": "netx",
        "schedule": options.schedule,
        "timesteps": str(timesteps),
        "input": "messages" if _reads_messages(network.layers) else "values" if has_values else "spikes",
        "output": "spikes" if train.spikes else "sums" if train.sums else "messages" if sends else "voltages",
        "output_offset": str(late),
        "alignment": f"timestep t of the output is timestep t + {late} of {options.schedule}",
    }


def _model(graph: Graph, held: Shape, leaving: Shape, record: Mapping[str, str]) -> onnx.ModelProto:
    held_value = onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["batch", *held])
    result = onnx.helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["batch", *leaving])
    whole = onnx.helper.make_graph(graph.nodes, "netx", [held_value], [result], graph.constants)
    imports = [onnx.helper.make_opsetid("", _OPSET), onnx.helper.make_opsetid(DOMAIN, OPSET_VERSION)]
    model = onnx.helper.make_model(whole, opset_imports=imports, ir_version=_IR_VERSION, producer_name="hsnn")
    for key, value in record.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = RECORD_KEY + key, value
    return model


def _refused(index: int, found: str, allowed: str) -> UnsupportedError:
    return UnsupportedError("HSNN-F072", f"layer {index}: {found}", allowed=allowed)
