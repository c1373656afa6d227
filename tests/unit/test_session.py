"""Sessions: the right numbers in the right order, errors that name the stage, and a prompt end."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import EntryPoint

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hsnn.artifact import load
from hsnn.errors import ArtifactError, HsnnError, RunError, TargetMissingError, UnsupportedError, UsageError
from hsnn.ir.integer import InputPort
from hsnn.ir.plan import ModelValue
from hsnn.program import HostStage, Metadata, Program
from hsnn.runtime.bridge import from_sent, to_payloads
from hsnn.runtime.host import PROVIDERS, HostExecutable, default_threads, find_provider, host_names
from hsnn.runtime.metrics import accuracy
from hsnn.runtime.pipeline import run_pipeline
from hsnn.runtime.session import Session
from hsnn.target import SegmentResult, TargetStatus
from hsnn_targets.reference import TARGET as REFERENCE


def samples(count, seed=0, features=4):
    return np.random.default_rng(seed).random((count, features)).astype(np.float32)


def code_of(call, *args, **options):
    with pytest.raises(HsnnError) as caught:
        call(*args, **options)
    return caught.value.code


def reference(program, **options):
    return Session(program, target="reference", threads=1, **options)


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("hsnn")]
    assert left == []


class FakeTarget:
    """A target around the reference, whose runs call a function first."""

    name = "fake"

    def __init__(self, before=None, after=None, load=None):
        self.before, self.after, self.on_load = before, after, load
        self.closed = []

    def status(self):
        return TargetStatus(True, "")

    def load(self, network, *, timeout=None):
        if self.on_load:
            self.on_load(network, timeout)
        return FakeExecutable(self, network)


class FakeExecutable:
    def __init__(self, target, network):
        self.target, self.network = target, network
        self.inner = REFERENCE.load(network)
        self.gone = threading.Event()

    def run(self, inputs, *, trace=False, progress=None):
        if self.target.before:
            self.target.before(self, inputs)
        result = self.inner.run(inputs, trace=trace, progress=progress)
        return self.target.after(result) if self.target.after else result

    def close(self):
        self.target.closed.append(self.network.name)
        self.gone.set()


# ---- the right numbers


def chain_oracle(program, x, levels, scale=1.0):
    """What the chain gives, computed stage by stage without a session."""
    spikes = (x[None] > levels[:, None, None]).astype(np.float32)
    network = program.chip_stages[0].network
    payload = np.rint(spikes / scale).astype(np.int32)
    done = REFERENCE.load(network).run({"in": payload}, trace=True)
    hidden = done.outputs["hidden"].astype(np.float32)
    out = (done.outputs["out"] * 0.25).astype(np.float32)
    return np.concatenate([hidden.sum(0), out.sum(0)], axis=1), payload, done


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
    host = dataclasses.replace(
        host, stages=(HostStage("host.0", build.encoder(spikes="s"), ("x",), ("s",)),)
    )
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


# ---- the bridge


def test_payloads_round_half_to_even_and_clip():
    port = InputPort("p", (8,), max_payload=3, signed=True)
    value = np.array([[0.5, 1.5, 2.5, -0.5, -1.5, 3.5, -9.0, np.inf]], np.float32)
    payload, clipped = to_payloads(value, port, scale=1.0, timesteps=1)
    assert payload.tolist() == [[[0, 2, 2, 0, -2, 3, -3, 3]]]
    assert payload.dtype == np.int32
    assert clipped == 3
    unsigned, clipped = to_payloads(value, InputPort("p", (8,), 2), scale=1.0, timesteps=1)
    assert (unsigned.tolist(), clipped) == ([[[0, 2, 2, 0, 0, 2, 0, 2]]], 4)


def test_payloads_of_quantized_values_are_exact():
    """What ``GradedEncode`` rounds to multiples of a step comes back as exactly those multiples."""
    units = np.arange(-(2**15), 2**15, dtype=np.int64)
    port = InputPort("p", (), max_payload=2**15, signed=True)
    for step in (0.1, 1 / 3, 1e-6, 7.7, 2.0**-20):
        value = (np.float32(step) * units.astype(np.float32)).astype(np.float32)
        payload, clipped = to_payloads(value[None], port, scale=step, timesteps=1)
        assert np.array_equal(payload[0], units)
        assert clipped == 0


def test_values_round_once():
    sent = np.array([[1, -3, 8388607, -8388607]], np.int32)
    assert np.array_equal(from_sent(sent, 1.0), sent.astype(np.float32))
    assert np.array_equal(from_sent(sent, 0.1), (sent.astype(np.float64) * 0.1).astype(np.float32))
    assert from_sent(sent, 0.1).dtype == np.float32


@pytest.mark.parametrize(
    "value",
    [
        np.full((2, 3, 4), np.nan, np.float32),
        np.zeros((2, 3, 5), np.float32),
        np.zeros((3, 2, 4), np.float32),
        np.zeros((3, 4), np.float32),
        np.zeros((4,), np.float32),
        np.zeros((2, 1, 2, 4), np.float32),
        np.zeros((2, 0, 4), np.float32),
        np.zeros((2, 3, 4), np.int32),
        np.zeros((2, 3, 4), bool),
    ],
)
def test_values_that_are_no_spikes(value):
    assert code_of(to_payloads, value, InputPort("p", (4,)), scale=1.0, timesteps=2) == "HSNN-R108"


def test_one_nan_among_many_is_found():
    value = np.zeros((2, 300, 4), np.float32)
    value[1, 200, 3] = np.nan
    assert code_of(to_payloads, value, InputPort("p", (4,)), scale=1.0, timesteps=2) == "HSNN-R108"


# ---- inputs


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
    model = build.onnx(
        [helper.make_node("Add", ["a", "b"], ["y"])], {"a": [None, 4], "b": [None, 4]}, {"y": [None, 4]}
    )
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
    [{"batch_size": 0}, {"batch_size": 2.0}, {"batch_size": True}, {"threads": 0}, {"timeout": 0.0}, {"timeout": -1}]
    + [{"timeout": float("nan")}],
)
def test_options_have_ranges(chain, options):
    assert code_of(Session, chain, target="reference", **options) == "HSNN-R105"


# ---- targets and hosts


def test_missing_targets_and_hosts(chain):
    assert code_of(Session, chain, target="nonsense") == "HSNN-T001"
    with pytest.raises(TargetMissingError) as caught:
        Session(chain, target="reference", host="nonsense")
    assert (caught.value.code, caught.value.exit_status) == ("HSNN-T101", 6)
    assert "cpu" in caught.value.allowed
    absent = next(name for name, provider in PROVIDERS.items() if provider not in onnxruntime.get_available_providers())
    assert code_of(Session, chain, target="reference", host=absent) == "HSNN-T101"


def test_host_names():
    assert "cpu" in host_names()
    assert find_provider("cpu") == find_provider("CPU") == find_provider("CPUExecutionProvider")
    assert list(PROVIDERS) == sorted(PROVIDERS)
    assert 1 <= default_threads() <= 16


def test_onnxruntime_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert code_of(find_provider, "cpu") == "HSNN-T102"


def test_a_provider_that_does_not_load_is_not_replaced_silently(chain, monkeypatch):
    """ONNX Runtime would go on with the processor alone."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda self: ["CPUExecutionProvider"])
    real = onnxruntime.InferenceSession.__init__

    def init(self, model, options, *, providers, **rest):
        assert providers == ["CUDAExecutionProvider", "CPUExecutionProvider"]
        real(self, model, options, providers=["CPUExecutionProvider"], **rest)

    monkeypatch.setattr(onnxruntime.InferenceSession, "__init__", init)
    assert code_of(Session, chain, target="reference", host="cuda") == "HSNN-T101"


def test_targets_get_the_time_limit_and_are_found_by_name(chain, monkeypatch):
    seen = []
    target = FakeTarget(load=lambda network, timeout: seen.append((network.name, timeout)))
    module = type(sys)("fake_targets")
    module.TARGET = target
    monkeypatch.setitem(sys.modules, "fake_targets", module)
    entry = EntryPoint("fake", "fake_targets:TARGET", "hsnn.targets")
    monkeypatch.setattr("hsnn.target.entry_points", lambda group: [entry])
    with Session(chain, target="fake", timeout=7.5):
        assert seen == [("chip.0", 7.5)]
    assert target.closed == ["chip.0"]


def test_what_is_loaded_is_closed_when_loading_fails(diamond):
    def refuse(network, timeout):
        if network.name == "chip.1":
            raise UnsupportedError("HSNN-X001", "too large", fix="make it smaller")

    target = FakeTarget(load=refuse)
    with pytest.raises(UnsupportedError) as caught:
        Session(diamond, target=target)
    assert caught.value.found == "stage 'chip.1': too large"
    assert caught.value.fix == "make it smaller"
    assert target.closed == ["chip.0"]
    target = FakeTarget()
    assert code_of(Session, diamond, target=target, host="nonsense") == "HSNN-T101"
    assert target.closed == ["chip.1", "chip.0"]


def test_programs_and_models_are_checked(chain):
    broken = dataclasses.replace(chain, stages=chain.stages[1:])
    with pytest.raises(ArtifactError):
        reference(broken)
    damaged = (dataclasses.replace(chain.stages[0], model=b"\xff" * 20), *chain.stages[1:])
    with pytest.raises(RunError) as caught:
        reference(dataclasses.replace(chain, stages=damaged))
    assert caught.value.code == "HSNN-R107"
    assert "'host.0'" in caught.value.found
    other = (dataclasses.replace(chain.stages[0], outputs=("spikes", "more")), *chain.stages[1:])
    assert code_of(reference, dataclasses.replace(chain, stages=other)) == "HSNN-R107"


# ---- errors in stages


def failing(error, at=1):
    """A target whose run number ``at`` of ``chip.1`` fails."""
    runs = []

    def before(executable, inputs):
        if executable.network.name == "chip.1":
            runs.append(1)
            if len(runs) == at:
                raise error

    return FakeTarget(before)


@pytest.mark.parametrize("batch_size", [1, 100])
@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (RunError("HSNN-R077", "the worker died", allowed="life", fix="again"), RunError, "HSNN-R077"),
        (UsageError("HSNN-R001", "wrong payloads"), UsageError, "HSNN-R001"),
        (ValueError("odd"), RunError, "HSNN-R107"),
        (MemoryError(), RunError, "HSNN-R107"),
    ],
)
def test_an_error_names_its_stage_and_closes_all(diamond, error, kind, code, batch_size):
    target = failing(error)
    session = Session(diamond, target=target, batch_size=batch_size)
    with pytest.raises(kind) as caught:
        session.run(samples(10))
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert caught.value.found.startswith("stage 'chip.1'")
    assert caught.value.__cause__ is error
    assert sorted(target.closed) == ["chip.0", "chip.1"]
    assert code_of(session.run, samples(1)) == "HSNN-R106"
    session.close()
    assert sorted(target.closed) == ["chip.0", "chip.1"]


def test_an_error_in_a_late_batch_surfaces(diamond):
    finished = []
    with Session(diamond, target=failing(ValueError("late"), at=4), batch_size=1) as session:
        assert code_of(session.run, samples(10), progress=finished.append) == "HSNN-R107"
    assert len(finished) <= 3


def test_an_error_stops_a_stage_that_is_at_work(diamond):
    """The other stage would take a minute; closing it must be enough."""

    def before(executable, inputs):
        if executable.network.name == "chip.1":
            raise ValueError("odd")
        if executable.target.closed or executable.gone.wait(0.2 if not waited else 60):
            raise RunError("HSNN-R999", "closed")
        waited.append(1)

    waited = []
    start = time.perf_counter()
    with Session(diamond, target=FakeTarget(before), batch_size=1) as session, pytest.raises(RunError) as caught:
        session.run(samples(10))
    assert caught.value.code == "HSNN-R107"
    assert time.perf_counter() - start < 10


def test_an_error_of_onnxruntime_names_the_stage(build):
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    model = build.onnx(nodes, {"x": [None, 4]}, {"y": [None, 8]}, {"shape": np.array([-1, 8], np.int64)})
    program = Program(
        (HostStage("host.0", model, ("x",), ("y",)),), (ModelValue("x", (None, 4), "float32"),),
        (ModelValue("y", (None, 8), "float32"),), Metadata("0", "emulator"),
    )  # fmt: skip
    with Session(program) as session, pytest.raises(RunError) as caught:
        session.run(samples(3))
    assert caught.value.code == "HSNN-R107"
    assert "'host.0'" in caught.value.found


def test_a_nan_between_stages_is_an_error(build):
    nodes = [helper.make_node("Log", ["x"], ["z"]), helper.make_node("Mul", ["z", "levels"], ["spikes"])]
    model = build.onnx(nodes, {"x": [None, 4]}, {"spikes": [None, None, 4]}, {"levels": build.levels.reshape(-1, 1, 1)})
    program = build.chain(build.network())
    program = dataclasses.replace(
        program, stages=(HostStage("host.0", model, ("x",), ("spikes",)), *program.stages[1:])
    )
    with reference(program) as session, pytest.raises(RunError) as caught:
        session.run(np.array([[1, 1, 1, -1]], np.float32))
    assert caught.value.code == "HSNN-R108"
    assert "'chip.0'" in caught.value.found


@pytest.mark.parametrize("change", [lambda a: a[:, :1], lambda a: a[:-1], lambda a: a[..., :1]])
def test_a_target_that_returns_another_shape_is_caught(chain, change):
    def after(result):
        return SegmentResult({name: change(array) for name, array in result.outputs.items()}, spike_counts={"hidden": 0})

    with Session(chain, target=FakeTarget(after=after)) as session:
        assert code_of(session.run, samples(3)) == "HSNN-R108"


def test_final_states_of_the_last_samples_only(chain):
    """A target that keeps one sample at a time knows the states of the last one."""

    def after(result):
        last = {name: array[-1:] for name, array in result.voltage.items()}
        return dataclasses.replace(result, voltage=last, current={})

    x = samples(5)
    with Session(chain, target=FakeTarget(after=after), batch_size=2) as session:
        trace = session.run(x, trace=True).traces["chip.0"].result
    with reference(chain) as session:
        whole = session.run(x, trace=True).traces["chip.0"].result
    assert trace.voltage["out"].shape == (1, 3)
    assert np.array_equal(trace.voltage["out"], whole.voltage["out"][-1:])
    assert np.array_equal(trace.spikes["hidden"], whole.spikes["hidden"])


# ---- the pipeline


def test_stages_work_at_the_same_time(diamond):
    """Each run of one chip stage waits for one of the other: they can only meet in a pipeline."""
    meeting = threading.Barrier(2, timeout=20)
    first = []

    def before(executable, inputs):
        if executable.network.name == "chip.0" and not first:
            first.append(1)
            return
        if executable.network.name == "chip.1" and inputs["in"].shape[1] == 2:
            return
        meeting.wait()

    # The last batch has two samples: chip.1 has nobody left to meet.
    with Session(diamond, target=FakeTarget(before), batch_size=1) as session:
        x = samples(6)
        assert session.run(x[:1]).samples == 1
        first.clear()
        done = []
        steps = [session._step(index, runner, False) for index, runner in enumerate(session._runners)]
        batches = [*session._batches({"x": x[:5]}, 5), *session._batches({"x": x[:2]}, None)]
        batches[-1] = dataclasses.replace(batches[-1], samples=2)
        run_pipeline(batches, steps, done=done.append, cancel=session.close)
    assert len(done) == 6


def test_queues_are_bounded():
    started, finished, most = [], [], []

    def first(item):
        started.append(item)
        return item

    def last(item):
        time.sleep(0.005)
        most.append(len(started) - len(finished))
        finished.append(item)
        return item

    out = []
    run_pipeline(iter(range(40)), [first, last], done=out.append, cancel=lambda: None, capacity=2)
    assert out == list(range(40))
    # One in each step, two in the queue between; the first step may have begun another.
    assert max(most) <= 5


def test_results_stay_in_order():
    def slow(item):
        time.sleep(0.004 if item % 3 == 0 else 0)
        return item

    out = []
    run_pipeline(range(30), [slow] * 4, done=out.append, cancel=lambda: None)
    assert out == list(range(30))
    run_pipeline([], [slow] * 2, done=out.append, cancel=lambda: None)
    assert out == list(range(30))


def test_the_first_error_wins_and_the_rest_stops():
    cancelled = []

    def fail(item):
        if item == 5:
            raise KeyError("five")
        return item

    for steps in ([fail], [fail, lambda x: x], [lambda x: x, fail, lambda x: x]):
        with pytest.raises(KeyError, match="five"):
            run_pipeline(range(100), steps, done=lambda item: None, cancel=lambda: cancelled.append(1))
    assert len(cancelled) == 3

    def items():
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError):
        run_pipeline(items(), [lambda x: x] * 2, done=lambda item: None, cancel=lambda: None)


def test_a_step_that_does_not_return_is_left_behind():
    release = threading.Event()

    def stuck(item):
        release.wait(30)
        return item

    def fail(item):
        if item == 1:
            raise ValueError("odd")
        return item

    start = time.perf_counter()
    with pytest.raises(ValueError, match="odd"):
        run_pipeline(range(5), [fail, stuck], done=lambda item: None, cancel=lambda: None, grace=0.2)
    assert time.perf_counter() - start < 5
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("hsnn"):
            thread.join(5)


@pytest.mark.parametrize("pipeline", [True, False])
def test_progress_counts_finished_samples(chain, pipeline):
    seen = []
    with reference(chain, batch_size=3, pipeline=pipeline) as session:
        session.run(samples(7), progress=lambda count: seen.append((count, threading.current_thread())))
    assert seen == [(3, threading.main_thread()), (3, threading.main_thread()), (1, threading.main_thread())]


@pytest.mark.parametrize("pipeline", [True, False])
def test_an_error_in_the_callback_is_the_callers(chain, pipeline):
    def stop(count):
        raise StopAsyncIteration("enough")

    with reference(chain, batch_size=2, pipeline=pipeline) as session, pytest.raises(StopAsyncIteration):
        session.run(samples(50), progress=stop)


# ---- ending


def test_close_may_be_called_twice_and_before_anything(chain):
    target = FakeTarget()
    session = Session(chain, target=target)
    session.close()
    session.close()
    assert target.closed == ["chip.0"]
    assert code_of(session.run, samples(1)) == "HSNN-R106"


@pytest.mark.parametrize("batch_size", [1, 100])
def test_close_ends_a_run_in_another_thread(chain, batch_size):
    entered = threading.Event()

    def before(executable, inputs):
        entered.set()
        if executable.gone.wait(60):
            raise OSError("the worker was killed")

    session = Session(chain, target=FakeTarget(before), batch_size=batch_size)
    caught = []

    def run():
        try:
            session.run(samples(10))
        except HsnnError as error:
            caught.append(error.code)

    thread = threading.Thread(target=run)
    thread.start()
    assert entered.wait(20)
    start = time.perf_counter()
    session.close()
    thread.join(20)
    assert time.perf_counter() - start < 5
    assert caught in (["HSNN-R106"], ["HSNN-R107"])


def endless_model(build):
    """A loop of 2**40 turns that no run finishes."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["a", "a"], ["b"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, None),
        ],
    )
    nodes = [helper.make_node("Loop", ["turns", "yes", "x"], ["y"], body=body)]
    constants = {"turns": np.array(2**40, np.int64), "yes": np.array(True)}
    return build.onnx(nodes, {"x": [None, 4]}, {"y": [None, 4]}, constants)


def test_close_ends_a_run_of_onnxruntime(build):
    stage = HostStage("host.0", endless_model(build), ("x",), ("y",))
    program = Program(
        (stage,), (ModelValue("x", (None, 4), "float32"),), (ModelValue("y", (None, 4), "float32"),),
        Metadata("0", "emulator"),
    )  # fmt: skip
    session = Session(program, threads=1)
    timer = threading.Timer(0.3, session.close)
    timer.start()
    start = time.perf_counter()
    assert code_of(session.run, samples(1)) == "HSNN-R106"
    timer.join()
    assert time.perf_counter() - start < 10


def test_one_run_at_a_time(chain):
    inside, most = [], []

    def before(executable, inputs):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.01)
        inside.pop()

    results = {}
    with Session(chain, target=FakeTarget(before), batch_size=100) as session:
        threads = [
            threading.Thread(target=lambda seed=seed: results.update({seed: session.run(samples(4, seed)).output}))
            for seed in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert max(most) == 1
    with reference(chain) as session:
        for seed in range(5):
            assert np.array_equal(results[seed], session.run(samples(4, seed)).output)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("batch_size", [1, 100])
def test_an_interrupt_ends_a_run_at_once(chain, batch_size):
    def before(executable, inputs):
        # As a supervised worker would: it waits in Python, and ends when it is closed.
        if executable.gone.wait(60):
            raise RunError("HSNN-R999", "closed")

    target = FakeTarget(before)
    session = Session(chain, target=target, batch_size=batch_size)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        session.run(samples(10))
    timer.join()
    assert time.perf_counter() - start < 5
    assert target.closed == ["chip.0"]
    assert code_of(session.run, samples(1)) == "HSNN-R106"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupted_process_ends(chain, tmp_path):
    """With the reference, which cannot be closed while it runs, and a data set that takes long."""
    chain.save(tmp_path / "net.zip")
    code = (
        "import sys, hsnn, numpy as np\n"
        "x = np.random.default_rng(0).random((10**6, 4)).astype(np.float32)\n"
        "with hsnn.Session(hsnn.load(sys.argv[1]), target='reference', batch_size=200, threads=1) as session:\n"
        "    session.run(x, progress=lambda n: print(n, flush=True))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "net.zip")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "200\n"
        process.send_signal(signal.SIGINT)
        start = time.perf_counter()
        _, errors = process.communicate(timeout=30)
    assert time.perf_counter() - start < 5
    assert process.returncode in (-signal.SIGINT, 130)
    assert errors.strip().endswith("KeyboardInterrupt")


def test_host_executables_by_themselves(build):
    stage = HostStage("host.0", build.encoder(), ("x",), ("spikes",))
    executable = HostExecutable(stage, provider=find_provider("cpu"), threads=1)
    made = executable.run({"x": samples(3)})
    assert np.array_equal(made["spikes"], (samples(3)[None] > build.levels[:, None, None]).astype(np.float32))
    executable.close()
    executable.close()


# ---- accuracy


def test_accuracy():
    logits = np.array([[0.1, 0.9, 0.3], [2.0, 1.0, 2.0], [0.0, 0.0, 0.0], [-3.0, -2.0, -1.0]], np.float32)
    assert accuracy(logits, np.array([1, 0, 0, 0])) == 0.75
    assert accuracy(logits, np.array([1, 2, 0, 2], np.uint8)) == 0.75
    assert accuracy(logits.astype(np.int32), [2, 1, 1, 1]) == 0.0


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.zeros((2, 3)), [0, 1, 2]),
        (np.zeros((2, 3)), [0]),
        (np.zeros((2, 3)), [[0], [1]]),
        (np.zeros((2, 3)), [0.0, 1.0]),
        (np.zeros((2, 3)), [True, False]),
        (np.zeros((2, 3)), ["a", "b"]),
        (np.zeros((2, 3)), [0, 3]),
        (np.zeros((2, 3)), [-1, 0]),
        (np.zeros((2,)), [0, 1]),
        (np.zeros((0, 3)), []),
        (np.zeros((2, 3), complex), [0, 1]),
        (np.array([[np.nan, 1.0]]), [0]),
    ],
)
def test_accuracy_of_what_does_not_fit(logits, labels):
    assert code_of(accuracy, logits, labels) == "HSNN-R110"


def test_numpy_helper_is_the_only_source_of_weights(build):
    """Guard for the builders: the encoder's thresholds are those that the oracle uses."""
    import onnx

    model = onnx.load_model_from_string(build.encoder())
    assert np.array_equal(numpy_helper.to_array(model.graph.initializer[0]).ravel(), build.levels)
