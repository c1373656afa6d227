"""Host stages on ONNX Runtime."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from hsnn.ir.plan import HostStage, ModelValue
from hsnn.program import Metadata, Program
from hsnn.runtime.host import PROVIDERS, HostExecutable, default_threads, find_provider, host_names
from hsnn.runtime.session import Session
from support.refusals import code_of
from support.sessions import samples


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
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda self: ["CPUExecutionProvider"])
    real = onnxruntime.InferenceSession.__init__

    def init(self, model, options, *, providers, **rest):
        assert providers == ["CUDAExecutionProvider", "CPUExecutionProvider"]
        real(self, model, options, providers=["CPUExecutionProvider"], **rest)

    monkeypatch.setattr(onnxruntime.InferenceSession, "__init__", init)
    assert code_of(Session, chain, target="reference", host="cuda") == "HSNN-T101"


def test_host_executables_by_themselves(build):
    stage = HostStage("host.0", build.encoder(), ("x",), ("spikes",))
    executable = HostExecutable(stage, provider=find_provider("cpu"), threads=1)
    made = executable.run({"x": samples(3)})
    assert np.array_equal(made["spikes"], (samples(3)[None] > build.levels[:, None, None]).astype(np.float32))
    executable.close()
    executable.close()


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
    assert time.perf_counter() - start < 60  # of years
