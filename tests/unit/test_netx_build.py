""".net files as hybrid models: the integers of the file come out as they are, and layers work when they should."""

import numpy as np
import onnxruntime
import pytest

from hsnn.errors import QuantizationError, UnsupportedError, UsageError
from hsnn.frontends.netx.build import NetxOptions, build
from hsnn.frontends.netx.read import parse_arrays
from hsnn.ir.hybrid import SCALE_KEY
from hsnn.ir.plan import HostStage
from hsnn.passes.partition.partition import Partition
from hsnn.passes.rewrite.canonicalize import canonicalize
from hsnn.verify.netx_files import CUBA, arrays_of, conv, dense, even
from support.segments import network_on, sent_by

T, BATCH = 14, 3
NONE = {name: None for name in CUBA}


def hybrid_of(layers, **options):
    return build(parse_arrays(arrays_of(layers, options.pop("stored", None))), NetxOptions(timesteps=T, **options))


def spikes(seed, *shape, rate=0.3):
    return (np.random.default_rng(seed).random((BATCH, T, *shape)) < rate).astype(np.float32)


def shrink(x, decay):
    return np.sign(x) * (np.abs(x) * (4096 - decay) >> 12)


def cuba(drive, layer):
    """slayer's equations in whole numbers; ``drive`` is ``(timestep, batch, neuron)`` in units of weights."""
    u, v, sent = np.zeros_like(drive[0]), np.zeros_like(drive[0]), []
    bias = np.asarray(layer.get("bias", 0)).astype(np.int64)
    for now in drive:
        u = shrink(u, layer["neuron/iDecay"]) + 64 * now
        v = shrink(v, layer["neuron/vDecay"]) + u + 64 * bias
        sent.append(v > 64 * layer["neuron/vThMant"])
        v = np.where(sent[-1], 0, v)
    return np.stack(sent).astype(np.int64)


def late(train, steps):
    return np.concatenate([np.zeros_like(train[:steps]), train])[: len(train)]


@pytest.mark.parametrize("schedule", ["lava", "slayer"])
def test_dense_layers_with_biases_and_delays(schedule):
    """Two layers, an input block, biases and a delay per neuron, against the equations written down again."""
    delay = np.array([0, 0, 1, 2, 5, 1, 0])
    first = dense(0, 9, 7, bias=even(3, 7, low=-20, high=40), delay=delay)
    second = dense(1, 7, 5, bias=even(4, 5, low=-20, high=40), **{"neuron/iDecay": 4096})
    x = spikes(5, 9)
    network = network_on(hybrid_of([{"type": b"input", "shape": [9]}, first, second], schedule=schedule), x)
    shift = int(schedule == "slayer")
    train = late(np.moveaxis(x, 1, 0).astype(np.int64), shift)
    hidden = cuba(train @ first["weight"].T.astype(np.int64), first)
    delayed = np.stack([late(hidden[..., n], delay[n] + shift) for n in range(7)], axis=-1)
    expected = cuba(delayed @ second["weight"].T.astype(np.int64), second)
    assert 10 < expected.sum() < expected.size - 10
    assert np.array_equal(sent_by(network, x), expected)


def test_integers_come_out_as_they_are():
    layer = dense(0, 6, 4, bias=np.array([254, -256, 4095, 1]), **{"neuron/iDecay": np.array([0, 1, 4095, 4096])})
    network = network_on(hybrid_of([layer]), spikes(0, 6))
    (population,), (projection,) = network.neurons, network.projections
    assert np.array_equal(projection.weights, layer["weight"])
    assert projection.weight_exp == 0
    assert population.threshold == 80 << 6
    assert (population.bias >> 6).tolist() == [254, -256, 4095, 1]
    assert population.du.tolist() == [-1, 0, 4094, 4095]
    assert population.dv == 128


def test_small_weights_are_not_stretched():
    """Left to itself the quantizer would fill all 8 bits."""
    layer = dense(0, 6, 4, weight=even(1, 4, 6, low=-6, high=4))
    assert np.array_equal(network_on(hybrid_of([layer]), spikes(0, 6)).projections[0].weights, layer["weight"])


def test_a_chain_of_convolution_pooling_and_dense():
    """Torch's own convolution says what the synapses have to deliver."""
    import torch

    first = conv(0, 2, (4, 5, 5), 3, bias=even(1, 4, low=-9, high=30), delay=np.array([0, 2, 0, 1]))
    pool = {**CUBA, "type": b"pool", "shape": [4, 3, 3], "kernelSize": [2, 2], "stride": [2, 2], "padding": [0, 0]}
    pool |= {"dilation": [1, 1], "weight": np.full((1, 1, 2, 2), 72.0)}
    last = dense(2, 36, 5, weight=even(2, 5, 36, low=-100, high=120))
    x = spikes(3, 2, 7, 7)
    layers = [first, pool, {"type": b"flatten", "shape": [36]}, last]
    network = network_on(hybrid_of(layers, input_shape=(2, 7, 7)), x)
    train = torch.as_tensor(np.moveaxis(x, 1, 0).reshape(T * BATCH, 2, 7, 7)).double()
    drive = torch.conv2d(train, torch.as_tensor(first["weight"]).double()).numpy().astype(np.int64)
    bias = {**first, "bias": np.repeat(first["bias"], 25)}
    hidden = cuba(drive.reshape(T, BATCH, 100), bias).reshape(T, BATCH, 4, 5, 5)
    hidden = np.stack([late(hidden[:, :, c], (0, 2, 0, 1)[c]) for c in range(4)], axis=2)
    padded = np.pad(hidden, [(0, 0)] * 3 + [(0, 1), (0, 1)])  # slayer adds 5 % 2 zeros
    pooled = 72 * padded.reshape(T, BATCH, 4, 3, 2, 3, 2).sum((4, 6))
    middle = cuba(pooled.reshape(T, BATCH, 36), pool)
    expected = cuba(middle @ last["weight"].T.astype(np.int64), last)
    assert 10 < expected.sum() < expected.size - 10
    assert np.array_equal(sent_by(network, x), expected)


def test_transposed_convolution_and_unpooling():
    """Torch's own transposed convolution says what the synapses have to deliver."""
    import torch

    window = {"kernelSize": [3, 2], "stride": [2, 1], "padding": [1, 0]}
    first = {**conv(0, 4, (6, 5, 4), 3), "type": b"convT", **window, "groups": 2, "weight": even(0, 4, 3, 3, 2)}
    first |= {"bias": even(1, 6, low=-9, high=30), "delay": np.array([0, 2, 0, 1, 1, 0])}
    second = {**CUBA, "type": b"unpool", "shape": [6, 10, 8], "kernelSize": [2, 2], "stride": [2, 2], "padding": [0, 0]}
    second |= {"dilation": [1, 1], "weight": np.array([[[[72.0, 40.0], [-8.0, 96.0]]]])}
    x = spikes(3, 4, 3, 3)
    network = network_on(hybrid_of([first, second], input_shape=(4, 3, 3)), x)
    train = torch.as_tensor(np.moveaxis(x, 1, 0).reshape(T * BATCH, 4, 3, 3)).double()
    kernel = torch.as_tensor(first["weight"]).double()
    drive = torch.conv_transpose2d(train, kernel, stride=(2, 1), padding=(1, 0), groups=2).numpy().astype(np.int64)
    bias = {**first, "bias": np.repeat(first["bias"], 20)}
    hidden = cuba(drive.reshape(T, BATCH, 120), bias).reshape(T, BATCH, 6, 5, 4)
    hidden = np.stack([late(hidden[:, :, c], first["delay"][c]) for c in range(6)], axis=2)
    spread = np.kron(hidden, second["weight"][0, 0].astype(np.int64)).reshape(T, BATCH, 480)
    expected = cuba(spread, second)
    assert 10 < expected.sum() < expected.size - 10
    assert np.array_equal(sent_by(network, x), expected)


def test_recurrent_synapses():
    layer = dense(0, 5, 6, weight_rec=even(1, 6, 6, low=-90, high=60), type=b"dense_rec")
    x = spikes(2, 5)
    u = v = sent = np.zeros((BATCH, 6), np.int64)
    expected = []
    for now in np.moveaxis(x, 1, 0).astype(np.int64):
        drive = now @ layer["weight"].T.astype(np.int64) + sent @ layer["weight_rec"].T.astype(np.int64)
        u = shrink(u, 1024) + 64 * drive
        v = shrink(v, 128) + u
        sent = (v > 80 * 64).astype(np.int64)
        v = np.where(sent, 0, v)
        expected.append(sent)
    assert np.array_equal(sent_by(network_on(hybrid_of([layer]), x), x), expected)


@pytest.mark.parametrize("static", [False, True])
def test_the_neurons_of_an_input_layer(static):
    """They run on the host, and round as slayer does: values to 1/32, states toward zero."""
    entry = {"type": b"input", "shape": [6], "weight": 76.0, "bias": -10.0, **CUBA, "neuron/vThMant": 50}
    generator = np.random.default_rng(0)
    x = generator.normal(0.5, 2.0, (BATCH, 6) if static else (BATCH, T, 6)).astype(np.float32)
    plan = Partition(())(canonicalize(hybrid_of([entry, dense(0, 6, 4)], static_input=static)))
    host = plan.stages[0]
    assert isinstance(host, HostStage)
    (found,) = onnxruntime.InferenceSession(host.model).run(None, {"x": x})
    steps = np.clip(np.rint(x.astype(np.float64) * 32), -128, 127).astype(np.int64)
    values = np.moveaxis(np.broadcast_to(steps[:, None], (BATCH, T, 6)) if static else steps, 1, 0)
    u, v = np.zeros((BATCH, 6), np.int64), np.zeros((BATCH, 6), np.int64)
    for t, now in enumerate(values):
        u = shrink(u, 1024) + 2 * now * 76 + 64 * -10
        v = shrink(v, 128) + u
        fired = v > 50 * 64
        v = np.where(fired, 0, v)
        assert np.array_equal(found[t], fired)
    assert 0 < found.sum() < found.size


def test_read_out_neurons_give_voltages():
    layer = dense(0, 6, 4, **{"neuron/vThMant": (1 << 18) - 1})
    x = spikes(1, 6)
    network = network_on(hybrid_of([layer]), x)
    drive = np.moveaxis(x, 1, 0).astype(np.int64) @ layer["weight"].T.astype(np.int64)
    u = v = np.zeros((BATCH, 4), np.int64)
    for now, found in zip(drive, sent_by(network, x), strict=True):
        u = shrink(u, 1024) + 64 * now
        v = shrink(v, 128) + u
        assert np.array_equal(found, v)


@pytest.mark.parametrize("schedule", ["lava", "slayer"])
def test_a_layer_without_neurons(schedule):
    """netx sums its input up; slayer gives it back as it is."""
    layer = {**dense(0, 6, 4), **NONE}
    x = spikes(1, 6)
    drive = 64 * np.moveaxis(x, 1, 0).astype(np.int64) @ layer["weight"].T.astype(np.int64)
    expected = np.cumsum(drive, axis=0) if schedule == "lava" else drive
    assert np.array_equal(sent_by(network_on(hybrid_of([layer], schedule=schedule), x), x), expected)


def test_a_threshold_of_zero():
    layer = dense(0, 6, 4, **{"neuron/vThMant": 0})
    x = spikes(1, 6)
    drive = np.moveaxis(x, 1, 0).astype(np.int64) @ layer["weight"].T.astype(np.int64)
    assert np.array_equal(sent_by(network_on(hybrid_of([layer]), x), x), cuba(drive, layer))


def test_weight_exp_where_a_chip_can_do_it():
    layer = dense(0, 6, 4, bias=even(1, 4, low=-20, high=20), **{"neuron/iDecay": 4096, "neuron/weight_exp": [-2.0]})
    x = spikes(1, 6)
    drive = np.moveaxis(x, 1, 0).astype(np.int64) @ layer["weight"].T.astype(np.int64)
    expected = cuba(4 * drive, {**layer, "bias": 4 * layer["bias"]})
    assert np.array_equal(sent_by(network_on(hybrid_of([layer]), x), x), expected)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (dense(0, 6, 4, **{"neuron/weight_exp": [1.0]}), "weight_exp is 1"),
        (dense(0, 6, 4, **{"neuron/weight_exp": [-1.0]}), "weight_exp is -1"),
        (dense(0, 6, 4, weight=np.full((4, 6), 3.0)), "some of them odd"),
        (conv(0, 6, (4, 1, 1), 1, weight=np.full((4, 6, 1, 1), 400.0)), "from 400 to 400"),
        ({"type": b"concat", "shape": [6], "layers": [0]}, "concat"),
    ],
)
def test_layers_that_are_refused(layer, said):
    shape = (6, 1, 1) if layer["type"] == b"conv" else None
    with pytest.raises(UnsupportedError, match=said) as caught:
        hybrid_of([{"type": b"input", "shape": shape or [6]}, layer])
    assert caught.value.code == "HSNN-F072"
    assert "layer 1" in caught.value.found


def test_layers_that_do_not_fit_together():
    for layers in ([dense(0, 6, 4), dense(1, 5, 4)], [dense(0, 6, 4), {"type": b"flatten", "shape": [5]}]):
        with pytest.raises(UnsupportedError, match="layer 1") as caught:
            hybrid_of(layers)
        assert caught.value.code == "HSNN-F071"
    with pytest.raises(UnsupportedError, match="which its window gives"):
        hybrid_of([conv(0, 2, (3, 4, 4), 3)], input_shape=(2, 5, 5))


def test_what_the_file_leaves_open():
    with pytest.raises(UsageError, match="input-shape"):
        hybrid_of([conv(0, 2, (3, 4, 4), 3)])
    with pytest.raises(UsageError, match="timesteps"):
        build(parse_arrays(arrays_of([dense(0, 6, 4)], None)), NetxOptions())
    stored = build(parse_arrays(arrays_of([dense(0, 6, 4)], 33)), NetxOptions())
    assert stored.inputs[0].shape == (None, 33, 6)


@pytest.mark.parametrize(("schedule", "offset"), [("lava", "3"), ("slayer", "1")])
def test_the_offset_is_recorded(schedule, offset):
    record = hybrid_of([dense(0, 6, 4), dense(1, 4, 4), dense(2, 4, 4)], schedule=schedule).record()
    assert record["schedule"] == schedule
    assert record["output_offset"] == offset


def test_a_promise_of_exact_integers_is_held():
    hybrid = hybrid_of([dense(0, 6, 4)])
    for node in hybrid.proto.graph.node:
        for entry in node.metadata_props:
            if entry.key == SCALE_KEY:
                entry.value = "1000.0"
    with pytest.raises(QuantizationError, match="weights of") as caught:
        network_on(hybrid, spikes(0, 6))
    assert caught.value.code == "HSNN-Q015"
    for node in hybrid.proto.graph.node:
        for entry in node.metadata_props:
            if entry.key == SCALE_KEY:
                entry.value = "nan"
    with pytest.raises(UnsupportedError, match="'nan'") as refused:
        network_on(hybrid, spikes(0, 6))
    assert refused.value.code == "HSNN-L003"
