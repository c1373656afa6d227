"""Reading .net files: what is in them comes out, and what cannot be is refused with layer and field."""

import subprocess
import sys

import numpy as np
import pytest

from hsnn.errors import UnsupportedError, UsageError
from hsnn.frontends.netx import layers
from hsnn.frontends.netx.read import parse_arrays, read_net
from hsnn.verify.netx_files import CUBA, arrays_of, conv, dense, even, write_net

h5py = pytest.importorskip("h5py")


def refused(code: str, *, layer: dict | None = None, **changes: object) -> str:
    """What is said of a dense layer with changes; None removes a field."""
    fields = {**(layer or dense(0, 4, 3)), **{name.replace("__", "/"): value for name, value in changes.items()}}
    with pytest.raises(UnsupportedError) as caught:
        parse_arrays(arrays_of([dense(1, 5, 4), fields]))
    assert caught.value.code == code
    assert "layer 1" in caught.value.found
    return caught.value.found


def test_a_file_as_slayer_writes_it(tmp_path):
    norm = np.array([-6, 0, 4], np.float32)
    delay = np.array([0, 3, 62], np.float32)
    path = write_net(
        tmp_path / "a.net",
        [
            {"type": b"input", "shape": [2, 6, 5]},
            conv(0, 2, (3, 4, 3), 3, bias=norm, **{"neuron/iDecay": np.array([1, 2, 3])}),
            {"type": b"flatten", "shape": [36, 1, 1]},
            dense(1, 36, 3, delay=delay, bias=norm),
            {"type": b"average", "shape": [1, 1, 1]},
        ],
        timesteps=None,
    )
    network = read_net(path)
    entry, convolution, flat, last, average = network.layers
    assert network.timesteps is None
    assert isinstance(entry, layers.InputLayer)
    assert entry.shape == (2, 6, 5)
    assert entry.neuron is None
    assert isinstance(convolution, layers.ConvLayer)
    assert convolution.window == layers.Window((3, 3), (1, 1), (0, 0), (1, 1))
    assert np.array_equal(convolution.weight, even(0, 3, 2, 3, 3))
    assert convolution.weight.dtype == np.int64
    assert convolution.bias.tolist() == [-6, 0, 4]
    assert convolution.neuron.current_decay.tolist() == [1, 2, 3]
    assert convolution.neuron.voltage_decay == 128
    assert flat == layers.FlattenLayer(2, 36)
    assert last.delay.tolist() == [0, 3, 62]
    assert last.recurrent is None
    assert last.neuron.threshold == 80
    assert average == layers.AverageLayer(4, 1)


def test_a_file_of_the_older_slayer():
    old = {
        **CUBA,
        "neuron/type": "LOIHI",
        "neuron/theta": 80 << 6,
        "neuron/wgtExp": 0,
        "neuron/tauRho": 0.5,
        "neuron/scaleRho": 10.0,
        "neuron/gradedSpike": None,
    }
    found = parse_arrays(
        arrays_of(
            [
                {"type": b"input", "shape": [2, 3, 3], "weight": np.float32(40), "bias": np.float32(36), **old},
                {**conv(0, 2, (3, 1, 1), 3), **old, "weight": even(0, 3, 2, 3, 3, 1)},
                {"type": b"flatten", "shape": [1, 1, 3]},
                {**dense(0, 3, 1), **old, "shape": [1, 1, 1], "weight": even(1, 3), "bias": np.zeros(1)},
            ],
            timesteps=64,
        )
    )
    entry, convolution, _, last = found.layers
    assert found.timesteps == 64
    assert (entry.weight, entry.bias, entry.neuron.threshold) == (40, 36, 80)
    assert convolution.weight.shape == (3, 2, 3, 3)
    assert last.weight.shape == (1, 3)


def test_every_kind_of_neuron():
    resonator = {"neuron/sinDecay": 700, "neuron/cosDecay": 3000, "neuron/vThMant": 64, "neuron/gradedSpike": False}
    adapt = {"neuron/thDecay": 100, "neuron/refDecay": 200, "neuron/vThStep": 32}
    plain = {name: None for name in CUBA}
    halves = {"weight": None, "weight/real": even(1, 3, 4), "weight/imag": even(2, 3, 4)}
    cases = {
        "SDNN": {"neuron/activation": "relu", "neuron/vThMant": 6},
        "RF_PHASE": {**resonator, **halves},
        "ALIF": {**CUBA, **adapt},
        "ADRF_IZHIKEVICH": {**resonator, **adapt, **halves},
    }
    found = []
    for kind, fields in cases.items():
        layer = {**dense(0, 4, 3), **plain, **fields, "neuron/type": kind}
        found.append(parse_arrays(arrays_of([layer])).layers[0])
    assert found[0].neuron == layers.SigmaDelta(6, "relu", sends_sum=False)
    assert found[1].neuron.sin_decay == 700
    assert found[1].imaginary.shape == (3, 4)
    assert found[2].neuron.threshold_step == 32
    assert isinstance(found[2].neuron.base, layers.Cuba)
    assert found[3].neuron.base.izhikevich


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"type": b"dense_comp"}, "'dense_comp'"),
        ({"weight": None}, "'weight' is missing"),
        ({"weight": even(0, 4, 3)}, "shape (4, 3)"),
        ({"weight": np.full((3, 4), 0.5, np.float32)}, "value 0.5"),
        ({"weight": np.full((3, 4), np.nan, np.float32)}, "value nan"),
        ({"weight": np.full((3, 4), np.inf)}, "value inf"),
        ({"weight": np.full((3, 4), 512.0)}, "from 512 to 512"),
        ({"weight": np.full((3, 4), 129.0)}, "odd weight of magnitude 129"),
        ({"inFeatures": 0}, "is 0"),
        ({"inFeatures": 1 << 40}, "'inFeatures' is"),
        ({"shape": [4]}, "(4,)"),
        ({"shape": [3, 1]}, "shape (2,)"),
        ({"bias": np.zeros(2)}, "2 elements"),
        ({"bias": np.full(3, 4096.0)}, "4096"),
        ({"delay": np.full(3, 63.0)}, "63"),
        ({"neuron__type": "LIF"}, "'LIF'"),
        ({"neuron__iDecay": 4097}, "4097"),
        ({"neuron__iDecay": np.zeros(2, np.int64)}, "shape (2,)"),
        ({"neuron__vThMant": -1}, "-1"),
        ({"neuron__vThMant": "80"}, "|S256"),
        ({"neuron__surprise": 1}, "'neuron/surprise' is not known"),
        ({"surprise": 1}, "'surprise' is not known"),
        ({"neuron__type": "LOIHI", "neuron__theta": 1}, "theta"),
    ],
)
def test_impossible_fields(changes, said):
    assert said in refused("HSNN-F071", **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"neuron__messageBits": 8}, "messageBits"),
        ({"neuron__gradedSpike": True}, "graded spikes"),
        ({"neuron__refDelay": 4}, "refDelay is 4"),
        ({"neuron__type": "LOIHI", "neuron__wgtExp": 2}, "wgtExp is 2"),
    ],
)
def test_what_netx_ignores_is_refused(changes, said):
    assert said in refused("HSNN-F072", **changes)


def test_conv_whose_numbers_contradict():
    assert "groups" in refused("HSNN-F071", layer=conv(0, 4, (3, 2, 2), 3, groups=2))
    assert "shape" in refused("HSNN-F071", layer={**conv(0, 4, (3, 2, 2), 3), "shape": [2, 2, 2]})
    assert "kernelSize" in refused("HSNN-F071", layer={**conv(0, 4, (3, 2, 2), 3), "kernelSize": [3, 3, 3]})
    assert "weight" in refused("HSNN-F071", layer={**conv(0, 4, (3, 2, 2), 3), "kernelSize": [2, 3]})


def test_gaps_between_layers():
    arrays = arrays_of([dense(0, 4, 4), dense(1, 4, 4)])
    shifted = {name.replace("layer/1/", "layer/2/"): array for name, array in arrays.items()}
    for wrong in (shifted, {}, {**arrays, "layer/x/type": np.array(b"dense")}, {"layer/01/type": np.array(b"dense")}):
        with pytest.raises(UnsupportedError) as caught:
            parse_arrays(wrong)
        assert caught.value.code == "HSNN-F071"


def _raises_unreadable(path) -> str:
    with pytest.raises(UsageError) as caught:
        read_net(path)
    assert caught.value.code == "HSNN-F070"
    return caught.value.found


def test_files_that_cannot_be_read(tmp_path):
    whole = write_net(tmp_path / "whole.net", [dense(0, 4, 3)]).read_bytes()
    (tmp_path / "cut.net").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.net").write_text("layer: 0")
    _raises_unreadable(tmp_path / "missing.net")
    _raises_unreadable(tmp_path)
    _raises_unreadable(tmp_path / "cut.net")
    _raises_unreadable(tmp_path / "text.net")


def test_nothing_outside_of_the_file_is_read(tmp_path):
    write_net(tmp_path / "other.net", [dense(0, 4, 3)])
    with h5py.File(tmp_path / "links.net", "w") as file:
        file.create_group("layer")["0"] = h5py.ExternalLink("other.net", "/layer/0")
    assert "link to elsewhere" in _raises_unreadable(tmp_path / "links.net")
    path = write_net(tmp_path / "stored.net", [dense(0, 4, 3, weight=None)])
    (tmp_path / "weights.bin").write_bytes(bytes(48))
    with h5py.File(path, "a") as file:
        external = [(str(tmp_path / "weights.bin"), 0, 48)]
        file["layer/0"].create_dataset("weight", (3, 4), "f4", external=external)
    assert "stored elsewhere" in _raises_unreadable(path)


def test_huge_declared_sizes_cost_nothing(tmp_path):
    path = write_net(tmp_path / "huge.net", [dense(0, 4, 3, weight=None)])
    with h5py.File(path, "a") as file:
        file["layer/0"].create_dataset("weight", (1 << 20, 1 << 20), "f4", chunks=(1 << 10, 1 << 10))
    assert path.stat().st_size < 1 << 16
    assert "declare" in _raises_unreadable(path)


def test_an_empty_group_says_which_block_writes_it(tmp_path):
    with h5py.File(write_net(tmp_path / "kwta.net", [dense(0, 4, 3)]), "a") as file:
        file["layer"].create_group("1")
    assert "KWTA" in _raises_unreadable(tmp_path / "kwta.net")


def test_reading_loads_no_torch():
    code = "import hsnn.frontends.netx.read, sys; assert not {'torch', 'h5py', 'onnx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
