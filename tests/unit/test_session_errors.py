"""Sessions: errors that name the stage, and a prompt end."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from importlib.metadata import EntryPoint

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from hsnn.errors import ArtifactError, RunError, TargetMissingError, UnsupportedError, UsageError
from hsnn.ir.plan import HostStage, ModelValue
from hsnn.program import Metadata, Program
from hsnn.runtime.host import PROVIDERS
from hsnn.runtime.session import PAYS, Session
from hsnn.target import SegmentResult
from support.fake_target import FakeTarget
from support.refusals import code_of
from support.sessions import reference, samples

pytestmark = pytest.mark.usefixtures("no_thread_stays")


def test_missing_targets_and_hosts(chain):
    assert code_of(Session, chain, target="nonsense") == "HSNN-T001"
    with pytest.raises(TargetMissingError) as caught:
        Session(chain, target="reference", host="nonsense")
    assert (caught.value.code, caught.value.exit_status) == ("HSNN-T101", 6)
    assert "cpu" in caught.value.allowed
    absent = next(name for name, provider in PROVIDERS.items() if provider not in onnxruntime.get_available_providers())
    assert code_of(Session, chain, target="reference", host=absent) == "HSNN-T101"


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
    session = Session(diamond, target=target, batch_size=batch_size, pipeline=True)
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
    with Session(diamond, target=failing(ValueError("late"), at=4), batch_size=1, pipeline=True) as session:
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
    with (
        Session(diamond, target=FakeTarget(before), batch_size=1, pipeline=True) as session,
        pytest.raises(RunError) as caught,
    ):
        session.run(samples(10))
    assert caught.value.code == "HSNN-R107"
    assert time.perf_counter() - start < 30


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


@pytest.mark.parametrize(("peak", "code"), [(255, "HSNN-R108"), (1, "HSNN-R111")])
def test_a_nan_between_stages_is_an_error(build, peak, code):
    nodes = [helper.make_node("Log", ["x"], ["z"]), helper.make_node("Mul", ["z", "levels"], ["spikes"])]
    model = build.onnx(nodes, {"x": [None, 4]}, {"spikes": [None, None, 4]}, {"levels": build.levels.reshape(-1, 1, 1)})
    network = build.network()
    port = dataclasses.replace(network.inputs[0], max_payload=peak)
    program = build.chain(dataclasses.replace(network, inputs=(port,)))
    program = dataclasses.replace(
        program, stages=(HostStage("host.0", model, ("x",), ("spikes",)), *program.stages[1:])
    )
    with reference(program) as session, pytest.raises((RunError, UsageError)) as caught:
        session.run(np.array([[1, 1, 1, -1]], np.float32))
    assert caught.value.code == code
    assert "'chip.0'" in caught.value.found


@pytest.mark.parametrize("change", [lambda a: a[:, :1], lambda a: a[:-1], lambda a: a[..., :1]])
def test_a_target_that_returns_another_shape_is_caught(chain, change):
    def after(result):
        return SegmentResult(
            {name: change(array) for name, array in result.outputs.items()}, spike_counts={"hidden": 0}
        )

    with Session(chain, target=FakeTarget(after=after)) as session:
        assert code_of(session.run, samples(3)) == "HSNN-R108"


def test_a_host_stage_that_doubles_the_batch_is_caught(build):
    nodes = [
        helper.make_node("Greater", ["x", "levels"], ["above"]),
        helper.make_node("Cast", ["above"], ["once"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["once", "once"], ["spikes"], axis=1),
    ]
    model = build.onnx(nodes, {"x": [None, 4]}, {"spikes": [None, None, 4]}, {"levels": build.levels.reshape(-1, 1, 1)})
    program = build.chain(build.network())
    program = dataclasses.replace(
        program, stages=(HostStage("host.0", model, ("x",), ("spikes",)), *program.stages[1:])
    )
    with reference(program) as session, pytest.raises(RunError) as caught:
        session.run(samples(3))
    assert caught.value.code == "HSNN-R108"
    assert caught.value.found == "stage 'chip.0': 'in' has shape (6, 6, 4)"


def test_final_states_of_the_last_samples_only(chain):
    """A target that keeps one sample at a time knows the states of the last one."""

    def after(result):
        last = {name: array[-1:] for name, array in result.voltage.items()}
        return dataclasses.replace(result, voltage=last, current={})

    x = samples(5)
    with Session(chain, target=FakeTarget(after=after), batch_size=2, pipeline=True) as session:
        trace = session.run(x, trace=True).traces["chip.0"].result
    with reference(chain) as session:
        whole = session.run(x, trace=True).traces["chip.0"].result
    assert trace.voltage["out"].shape == (1, 3)
    assert np.array_equal(trace.voltage["out"], whole.voltage["out"][-1:])
    assert np.array_equal(trace.spikes["hidden"], whole.spikes["hidden"])


def test_stages_work_at_the_same_time(diamond):
    """The second chip stage finishes a batch only after the first has begun the next one."""
    begun = [threading.Event() for _ in range(6)]
    runs = {"chip.0": iter(range(6)), "chip.1": iter(range(6))}

    def before(executable, inputs):
        run = next(runs[executable.network.name])
        if executable.network.name == "chip.0":
            begun[run].set()
        elif run < 5 and not begun[run + 1].wait(20):
            raise TimeoutError("nobody works on the next batch")

    with Session(diamond, target=FakeTarget(before), batch_size=1, pipeline=True) as session:
        result = session.run(samples(6))
    with reference(diamond) as session:
        assert np.array_equal(result.outputs["y"], session.run(samples(6)).outputs["y"])


@pytest.mark.parametrize("pause", [0.0, 3 * PAYS])
def test_stages_get_threads_after_two_batches_where_that_pays(diamond, pause):
    runs = []

    def before(executable, inputs):
        runs.append((executable.network.name, threading.current_thread() is threading.main_thread()))
        time.sleep(pause)

    with Session(diamond, target=FakeTarget(before), batch_size=1) as session:
        told = []
        result = session.run(samples(6), progress=told.append)
    assert told == [1] * 6
    here = [name for name, main in runs if main]
    assert here == ["chip.0", "chip.1"] * (2 if pause else 6)
    assert sorted(name for name, main in runs if not main) == (["chip.0"] * 4 + ["chip.1"] * 4 if pause else [])
    assert [len(stage.seconds) for stage in result.stages] == [6] * len(diamond.stages)
    with reference(diamond) as session:
        assert np.array_equal(result.outputs["y"], session.run(samples(6)).outputs["y"])


@pytest.mark.parametrize("pipeline", [True, False])
def test_an_error_in_the_callback_is_the_callers(chain, pipeline):
    def stop(count):
        raise StopAsyncIteration("enough")

    with reference(chain, batch_size=2, pipeline=pipeline) as session, pytest.raises(StopAsyncIteration):
        session.run(samples(50), progress=stop)


@pytest.mark.parametrize(
    ("names", "fix"),
    [
        (("output_0", "output_1"), "--outputs 0, hsnn.nn.KeepOutputs(model, [0])"),
        (("logits", "rate"), "--outputs logits, hsnn.nn.KeepOutputs(model, ['logits'])"),
    ],
)
def test_an_output_without_samples_can_be_left_out(build, names, fix):
    nodes = [helper.make_node("Relu", ["x"], [names[0]]), helper.make_node("ReduceMean", ["x"], [names[1]], keepdims=0)]
    model = build.onnx(nodes, {"x": [None, 4]}, {names[0]: [None, 4], names[1]: []})
    values = (ModelValue(names[0], (None, 4), "float32"), ModelValue(names[1], (), "float32"))
    program = Program(
        (HostStage("h", model, ("x",), names),), (ModelValue("x", (None, 4), "float32"),), values,
        Metadata("0", "emulator"),
    )  # fmt: skip
    with Session(program, batch_size=2, pipeline=True) as session, pytest.raises(RunError, match="HSNN-R109") as caught:
        session.run(samples(5))
    assert fix in caught.value.fix
