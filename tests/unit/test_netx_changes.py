"""Sigma-delta and adaptive layers of .net files: integers against plain loops, schedules, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.compiler import Options, compile
from hsnn.errors import HsnnError
from hsnn.frontends.netx.build import NetxOptions, build
from hsnn.frontends.netx.layers import Adaptive, Cuba, DenseLayer, InputLayer, NetxNetwork, SigmaDelta
from hsnn.runtime.session import Session
from hsnn.verify.ladder import verify

NUMBERS = np.random.default_rng(3)
T = 20
FIRST, SECOND = 2 * NUMBERS.integers(-30, 30, (6, 5)), 2 * NUMBERS.integers(-30, 30, (4, 6))
BIAS = 2 * NUMBERS.integers(-20, 20, 6)
RELU = SigmaDelta(7, "relu")
HALF = np.full((), 2048)
SPIKING = Cuba(HALF, HALF, 64)


def network(last=None):
    end = DenseLayer(2, SECOND, neuron=last or SigmaDelta(None, "relu", sends_sum=True))
    return NetxNetwork(
        (
            InputLayer(0, (5,), weight=64, neuron=SigmaDelta(6, "relu")),
            DenseLayer(1, FIRST, bias=BIAS, neuron=RELU),
            end,
        )
    )


def changes(activation, threshold):
    """Messages in 1/4096 of an activation in 1/2**18, as Lava's SigmaDelta has them."""
    sent, out = np.zeros_like(activation[0]), []
    for act in activation:
        due = np.where(np.abs(act - sent) >= threshold << 12, act - sent, 0)
        sent = sent + due
        out.append(due >> 6)
    return np.stack(out)


def late(messages):
    return np.concatenate([np.zeros_like(messages[:1]), messages[:-1]])


def expected(x, schedule):
    """Sum that one sample gives, in 1/2**18."""
    wait = late if schedule == "lava" else lambda messages: messages
    sent = wait(changes((x * 2**18).astype(np.int64), 6))
    act = np.maximum(np.cumsum(sent @ FIRST.T, 0) + (BIAS << 12), 0)
    return np.cumsum(wait(changes(act, 7)) @ SECOND.T, 0)


@pytest.mark.parametrize("schedule", ["lava", "slayer"])
def test_sums_are_those_of_integers(schedule, rng):
    x = np.round(np.cumsum(rng.normal(0, 0.2, (4, T, 5)), 1) * 32) / 32
    hybrid = build(network(), NetxOptions(schedule, T))
    program = compile(hybrid, x.astype(np.float32), options=Options(golden_samples=2))
    with Session(program, target="emulator") as session:
        (found,) = session.run(x.astype(np.float32)).outputs.values()
    np.testing.assert_array_equal(found * 2**18, np.stack([expected(sample, schedule) for sample in x]))
    assert verify(program, target="reference").passed
    assert hybrid.record()["output_offset"] == "0"


def test_biases_work_from_the_first_timestep_on_lava():
    """Nothing enters: what a layer sends by its bias still arrives one timestep later."""
    hybrid = build(network(), NetxOptions("lava", T))
    x = np.zeros((2, T, 5), np.float32)
    program = compile(hybrid, x, options=Options(golden_samples=1))
    with Session(program, target="reference") as session:
        (found,) = session.run(x).outputs.values()
    assert not found[:, 0].any()
    assert found[:, 1].any()


def adaptive(threshold=64):
    return Adaptive(Cuba(HALF, HALF, threshold), np.full((), 300), np.full((), 400), np.full((), 20))


def shrink(state, decay):
    return np.sign(state) * (np.abs(state) * (4096 - decay) >> 12)


def adapted(drive, back=None):
    """What adaptive neurons send for one sample of integers in 1/4096, with weights to themselves if there are some."""
    u = v = raised = against = fired = np.zeros_like(drive[0])
    out = []
    for a in drive:
        u = shrink(u, 2048) + a + (0 if back is None else back @ fired)
        v = shrink(v, 2048) + u
        raised, against = shrink(raised, 300), shrink(against, 400)
        level = (64 << 6) + raised
        fired = v - against >= level
        raised, against = raised + fired * (20 << 6), against + fired * 2 * level
        out.append(fired)
    return np.stack(out).astype(np.int64)


def test_spikes_of_adaptive_neurons_behind_an_input_of_them(rng):
    x = np.round(rng.normal(0.5, 0.7, (4, T, 5)) * 32) / 32
    layers = (InputLayer(0, (5,), weight=50, bias=6, neuron=adaptive()), DenseLayer(1, abs(FIRST), neuron=adaptive()))
    program = compile(build(NetxNetwork(layers), NetxOptions("lava", T)), x.astype(np.float32))
    with Session(program, target="emulator") as session:
        (found,) = session.run(x.astype(np.float32)).outputs.values()
    entered = np.stack([adapted((sample * 50 * 64 + 6 * 64).astype(np.int64)) for sample in x])
    wanted = np.stack([adapted(sample @ abs(FIRST).T * 64) for sample in entered])
    assert 0.05 < wanted.mean() < 0.9
    np.testing.assert_array_equal(found, wanted)


def test_spikes_of_recurrent_adaptive_neurons(rng):
    x = (rng.random((4, T, 5)) < 0.4).astype(np.float32)
    layer = DenseLayer(0, abs(FIRST[:5]), recurrent=FIRST[:5], neuron=adaptive())
    program = compile(build(NetxNetwork((layer,)), NetxOptions("lava", T)), x, options=Options(golden_samples=2))
    with Session(program, target="emulator") as session:
        (found,) = session.run(x).outputs.values()
    wanted = [adapted((sample @ abs(FIRST[:5]).T * 64).astype(np.int64), FIRST[:5] * 64) for sample in x]
    assert 0.05 < np.mean(wanted) < 0.9
    np.testing.assert_array_equal(found, np.stack(wanted))
    assert verify(program, target="reference").passed


@pytest.mark.parametrize(
    "layers",
    [
        (DenseLayer(0, FIRST, neuron=SigmaDelta(1, "tanh")),),
        (DenseLayer(0, FIRST, neuron=RELU), DenseLayer(1, SECOND, neuron=SPIKING)),
        (DenseLayer(0, FIRST, neuron=SigmaDelta(None, "relu", sends_sum=True)), DenseLayer(1, SECOND, neuron=RELU)),
        (DenseLayer(0, FIRST[:5], recurrent=FIRST[:5], neuron=RELU),),
        (DenseLayer(0, FIRST, neuron=adaptive(threshold=0)),),
        (InputLayer(0, (5,), weight=64, neuron=adaptive(threshold=0)), DenseLayer(1, FIRST, neuron=adaptive())),
    ],
    ids=["activation", "mixed", "sum inside", "recurrent", "threshold 0", "input of threshold 0"],
)
def test_what_is_not_clear_is_refused_by_layer(layers):
    with pytest.raises(HsnnError, match="layer") as caught:
        build(NetxNetwork(layers), NetxOptions("lava", T))
    assert caught.value.code == "HSNN-F072"


def test_states_that_do_not_fit_are_no_approximation():
    big = NetxNetwork((DenseLayer(0, FIRST, neuron=RELU),))
    x = np.full((2, T, 5), 600.0, np.float32)
    with pytest.raises(HsnnError) as caught:
        compile(build(big, NetxOptions("lava", T)), x, options=Options(golden_samples=1))
    assert caught.value.code in ("HSNN-Q012", "HSNN-Q015")
