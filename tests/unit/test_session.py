"""Sessions: the right numbers in the right order, and inputs that are checked."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest
from onnx import TensorProto, helper

from hsnn.artifact import load
from hsnn.errors import UsageError
from hsnn.ir.plan import HostStage, ModelValue
from hsnn.program import Metadata, Program
from hsnn.recording import Recording
from hsnn.runtime.golden import record_golden
from hsnn.runtime.operations import synaptic_operations
from hsnn.runtime.session import Session
from hsnn_targets.reference import TARGET as REFERENCE
from support.refusals import code_of
from support.sessions import reference, samples


def chain_oracle(program, x, levels, scale=1.0):
    """What the chain gives, computed stage by stage without a session."""
    spikes = (x[None] > levels[:, None, None]).astype(np.float32)
    network = program.chip_stages[0].network
    payload = np.rint(spikes / scale).astype(np.int32)
    done = REFERENCE.load(network).run({"in": payload}, trace=True)
    hidden = done.outputs["hidden"].astype(np.float32)
    out = (done.outputs["out"] * 0.25).astype(np.float32)
    return np.concatenate([hidden.sum(0), out.sum(0)], axis=1), payload, done


@pytest.mark.parametrize("target", ["reference", "emulator"])
@pytest.mark.parametrize("batch_size", [3, 64])
def test_recorded_spikes_are_those_of_a_trace(chain, batch_size, target):
    x = samples(7)
    network = chain.chip_stages[0].network
    with Session(chain, target=target, threads=1, batch_size=batch_size) as session:
        traced = session.run(x, trace=True).traces["chip.0"]
        recorded = session.run(x, trace=Recording()).traces["chip.0"]
    everything = {**traced.payloads, **traced.result.spikes}
    assert recorded.payloads.keys() | recorded.result.packed.keys() == everything.keys()
    for name, packed in recorded.result.packed.items():
        assert np.array_equal(packed.unpack(), everything[name])
    assert synaptic_operations(network, recorded) == synaptic_operations(network, traced)
    assert recorded.result.spikes == {}


@pytest.mark.parametrize("pipeline", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
def test_a_chain_computes_what_its_stages_compute(chain, build, batch_size, pipeline):
    x = samples(7)
    expected, payload, done = chain_oracle(chain, x, build.levels)
    with reference(chain, batch_size=batch_size, pipeline=pipeline) as session:
        result = session.run(x, trace=True)
    np.testing.assert_allclose(result.output, expected, rtol=1e-6, atol=1e-3)
    assert np.array_equal(result.output[:, : build.hidden], expected[:, : build.hidden])
    assert result.outputs.keys() == {"y"}
    assert result.output.dtype == np.float32
    assert result.samples == 7
    trace = result.traces["chip.0"]
    assert np.array_equal(trace.payloads["in"], payload)
    assert np.array_equal(trace.result.outputs["out"], done.outputs["out"])
    assert np.array_equal(trace.result.spikes["hidden"], done.spikes["hidden"])
    assert np.array_equal(trace.result.current["hidden"], done.current["hidden"])
    assert np.array_equal(trace.result.voltage["out"], done.voltage["out"])
    host, chip, head = result.stages
    assert [stage.name for stage in result.stages] == ["host.0", "chip.0", "host.1"]
    assert len(host.seconds) == len(chip.seconds) == len(head.seconds) == -(-7 // batch_size)
    assert chip.spike_counts == {"hidden": int(done.spikes["hidden"].sum())} == trace.result.spike_counts
    assert chip.messages == {
        "spikes": np.count_nonzero(payload),
        "h": np.count_nonzero(done.outputs["hidden"]),
        "v": np.count_nonzero(done.outputs["out"]),
    }
    assert chip.clipped == {"in": 0}
    assert (host.spike_counts, host.messages, result.clipped) == ({}, {}, 0)
    assert result.seconds > 0
    assert chip.spike_counts["hidden"] > 10


@pytest.mark.parametrize("pipeline", [True, False])
@pytest.mark.parametrize("batch_size", [2, 100])
def test_parallel_chip_stages_and_a_skip(diamond, build, batch_size, pipeline):
    x = samples(9)
    spikes = (x[None] > build.levels[:, None, None]).astype(np.int32)
    one, other = (REFERENCE.load(stage.network).run({"in": spikes}).outputs["out"] for stage in diamond.chip_stages)
    with reference(diamond, batch_size=batch_size, pipeline=pipeline) as session:
        result = session.run({"x": x})
    expected = np.concatenate([one.sum(0), (other * 0.5).astype(np.float32).sum(0), x], axis=1)
    np.testing.assert_allclose(result.outputs["y"], expected, rtol=1e-6, atol=1e-3)
    # A second output, batch axis 1, made by a chip stage and also read by the head.
    assert np.array_equal(result.outputs["b"], (other * 0.5).astype(np.float32))
    assert result.traces == {}
    with pytest.raises(UsageError) as caught:
        _ = result.output
    assert caught.value.code == "HSNN-R101"


def test_a_loaded_artifact_runs_the_same_and_repeatedly(chain, diamond, tmp_path):
    for program in (chain, diamond):
        program.save(tmp_path / "net.zip", overwrite=True)
        with reference(program) as one, reference(load(tmp_path / "net.zip"), batch_size=2) as other:
            for seed in range(3):
                left, right = one.run(samples(5, seed)), other.run(samples(5, seed))
                for name, array in left.outputs.items():
                    assert np.array_equal(array, right.outputs[name])


def test_merged_and_split_values_are_the_same(build):
    """A host stage may give ``(timestep * batch, feature)``."""
    nodes = [
        helper.make_node("Greater", ["x", "levels"], ["above"]),
        helper.make_node("Cast", ["above"], ["split"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["split", "shape"], ["spikes"]),
    ]
    constants = {"levels": build.levels.reshape(-1, 1, 1), "shape": np.array([-1, 4], np.int64)}
    merged = build.onnx(nodes, {"x": [None, 4]}, {"spikes": [None, 4]}, constants)
    program = build.chain(build.network())
    stages = (dataclasses.replace(program.stages[0], model=merged), *program.stages[1:])
    with reference(program, batch_size=2) as one, reference(dataclasses.replace(program, stages=stages)) as other:
        assert np.array_equal(one.run(samples(5)).output, other.run(samples(5)).output)


def test_graded_payloads_are_scaled_and_clipped(build):
    program = build.chain(build.network(max_payload=3), scale=0.25)
    with reference(program, batch_size=2) as session:
        result = session.run(samples(5), trace=True)
    payload = result.traces["chip.0"].payloads["in"]
    assert set(np.unique(payload)) == {0, 3}
    assert result.stages[1].clipped == {"in": np.count_nonzero(payload)}
    assert result.clipped == np.count_nonzero(payload) > 0


def test_models_of_one_part_only(build):
    value = (ModelValue("x", (None, 4), "float32"),)
    host = Program(
        (HostStage("host.0", build.encoder(), ("x",), ("s",)),), value, (ModelValue("s", (6, None, 4), "float32"),),
        Metadata("0", "emulator"),
    )  # fmt: skip
    host = dataclasses.replace(host, stages=(HostStage("host.0", build.encoder(spikes="s"), ("x",), ("s",)),))
    with Session(host, target="no such target", batch_size=2) as session:
        assert session.run(samples(5)).output.shape == (6, 5, 4)
    chain = build.chain(build.network())
    chip = dataclasses.replace(
        chain,
        stages=(chain.stages[1],),
        inputs=(ModelValue("spikes", (6, None, 4), "float32"),),
        outputs=(ModelValue("h", (6, None, 5), "float32"),),
        cut_spikes={},
    )
    spikes = (samples(5)[None] > build.levels[:, None, None]).astype(np.float32)
    with Session(chip, target=REFERENCE, host="no such host", batch_size=2) as session:
        done = REFERENCE.load(chip.stages[0].network).run({"in": spikes.astype(np.int32)})
        assert np.array_equal(session.run(spikes).output, done.outputs["hidden"])


def test_inputs_that_all_samples_share(build):
    nodes = [helper.make_node("Add", ["x", "offset"], ["y"])]
    model = build.onnx(nodes, {"x": [None, 4], "offset": [4]}, {"y": [None, 4]})
    inputs = (ModelValue("x", (None, 4), "float32"), ModelValue("offset", (4,), "float32"))
    program = Program(
        (HostStage("h", model, ("x", "offset"), ("y",)),), inputs, (ModelValue("y", (None, 4), "float32"),),
        Metadata("0", "emulator"),
    )  # fmt: skip
    offset = np.arange(4, dtype=np.float32)
    with Session(program, batch_size=2) as session:
        assert np.array_equal(session.run({"x": samples(5), "offset": offset}).output, samples(5) + offset)
        assert code_of(session.run, samples(5)) == "HSNN-R101"


def test_outputs_must_have_one_entry_a_sample(build):
    nodes = [helper.make_node("ReduceSum", ["x", "axis"], ["y"], keepdims=1)]
    model = build.onnx(nodes, {"x": [None, 4]}, {"y": [1, 4]}, {"axis": np.array([0], np.int64)})
    for shape in ((None, 4), (1, 4)):
        program = Program(
            (HostStage("h", model, ("x",), ("y",)),), (ModelValue("x", (None, 4), "float32"),),
            (ModelValue("y", shape, "float32"),), Metadata("0", "emulator"),
        )  # fmt: skip
        with Session(program, batch_size=2) as session:
            assert code_of(session.run, samples(5)) == "HSNN-R109"
            assert session.run(samples(1)).output.shape == (1, 4)


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({}, "HSNN-R101"),
        ({"z": samples(2)}, "HSNN-R101"),
        ({"x": samples(2), "z": samples(2)}, "HSNN-R101"),
        (samples(2).astype(np.float16), "HSNN-R102"),
        (samples(2).astype(np.int64), "HSNN-R102"),
        (np.zeros((2, 4), np.uint8), "HSNN-R102"),
        ([[1, 2, 3, 4]], "HSNN-R102"),
        ([[1.0, 2.0], [1.0]], "HSNN-R102"),
        ("x", "HSNN-R102"),
        (None, "HSNN-R102"),
        (np.zeros((2, 5), np.float32), "HSNN-R103"),
        (np.zeros((4,), np.float32), "HSNN-R103"),
        (np.zeros((2, 4, 1), np.float32), "HSNN-R103"),
        (np.zeros((0, 4), np.float32), "HSNN-R103"),
        (np.float32(1), "HSNN-R103"),
        (np.array([[0, 0, 0, np.nan]], np.float32), "HSNN-R104"),
        (np.array([[0, 0, 0, np.inf]], np.float32), "HSNN-R104"),
        (np.array([[0, 0, 0, 1e39]], np.float64), "HSNN-R104"),
    ],
)
def test_wrong_inputs_are_named_and_harm_nothing(chain, inputs, code):
    with reference(chain) as session:
        with pytest.raises(UsageError) as caught:
            session.run(inputs)
        assert caught.value.code == code
        assert code == "HSNN-R101" or "'x'" in caught.value.found
        assert session.run(samples(1)).samples == 1


def test_doubles_and_lists_are_taken_for_floats(chain):
    with reference(chain) as session:
        expected = session.run(samples(2)).output
        assert np.array_equal(session.run(samples(2).astype(np.float64)).output, expected)
        assert np.array_equal(session.run(samples(2).tolist()).output, expected)
        assert np.array_equal(session.run(np.asfortranarray(samples(2))).output, expected)


def test_inputs_with_different_numbers_of_samples(build):
    model = build.onnx([helper.make_node("Add", ["a", "b"], ["y"])], {"a": [None, 4], "b": [None, 4]}, {"y": [None, 4]})
    program = Program(
        (HostStage("h", model, ("a", "b"), ("y",)),),
        (ModelValue("a", (None, 4), "float32"), ModelValue("b", (None, 4), "float32")),
        (ModelValue("y", (None, 4), "float32"),),
        Metadata("0", "emulator"),
    )
    with Session(program) as session:
        assert code_of(session.run, {"a": samples(2), "b": samples(3)}) == "HSNN-R103"
        assert session.run({"b": samples(2), "a": samples(2)}).output.shape == (2, 4)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": 2.0},
        {"batch_size": True},
        {"threads": 0},
        {"timeout": 0.0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": "5"},
    ],
)
def test_options_have_ranges(chain, options):
    assert code_of(Session, chain, target="reference", **options) == "HSNN-R105"


@pytest.mark.parametrize("pipeline", [True, False])
def test_progress_counts_finished_samples(chain, pipeline):
    seen = []
    with reference(chain, batch_size=3, pipeline=pipeline) as session:
        session.run(samples(7), progress=lambda count: seen.append((count, threading.current_thread())))
    assert seen == [(3, threading.main_thread()), (3, threading.main_thread()), (1, threading.main_thread())]


def test_golden_traces_hold_what_a_run_does(diamond, tmp_path):
    x = samples(3)
    golden = record_golden(diamond, x)
    dataclasses.replace(diamond, golden=golden).save(tmp_path / "net.hsnn")
    kept = load(tmp_path / "net.hsnn").golden
    with reference(diamond) as session:
        result = session.run(kept.inputs, trace=True)
    assert np.array_equal(kept.inputs["x"], x)
    assert np.array_equal(kept.outputs["y"], result.outputs["y"])
    assert kept.sent.keys() == kept.payloads.keys() == {"chip.0", "chip.1"}
    for name, trace in result.traces.items():
        assert np.array_equal(kept.payloads[name]["in"], trace.payloads["in"])
        assert np.array_equal(kept.sent[name]["hidden"], trace.result.spikes["hidden"])
        assert np.array_equal(kept.sent[name]["out"], trace.result.outputs["out"])
        assert kept.sent[name].keys() == {"hidden", "out"}


def test_a_batch_carries_only_what_is_still_needed(diamond):
    """Spike trains of a whole data set would not fit into memory."""
    with reference(diamond) as session:
        (batch,) = session._batches({"x": samples(2)}, 2)
        carried = []
        for index, runner in enumerate(session._runners):
            batch = session._step(index, runner, False)(batch)
            carried.append(set(batch.values))
    assert carried == [{"x", "spikes"}, {"x", "spikes", "a"}, {"x", "a", "b"}, {"y", "b"}]
