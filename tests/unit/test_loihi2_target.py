"""The board target without a board: what it finds, what it refuses, and a stand-in for Intel's extension."""

from __future__ import annotations

import os
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest

from hsnn.errors import TargetMissingError, UnsupportedError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, IntegratorPopulation, LifPopulation
from hsnn.ir.projections import ConvProjection, DenseProjection
from hsnn.verify.random_networks import random_inputs
from hsnn_targets.lava.planner import plan_processes
from hsnn_targets.lava.schedule import make_schedule
from hsnn_targets.loihi2 import TARGET
from hsnn_targets.loihi2.host import way_to_board
from hsnn_targets.loihi2.rules import refuse_fallbacks, refuse_what_a_board_lacks
from hsnn_targets.reference import TARGET as REFERENCE

ZERO = np.zeros((), np.int32)
VARIABLES = ("SLURM", "NOSLURM", "NXSDKHOST", "BOARD", "PARTITION")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """An environment that leads to no board."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))


def lif(name, shape, **options):
    fields = {"du": np.int32(100), "dv": np.int32(50), "threshold": np.int32(6400), "bias_mant": ZERO, **options}
    return LifPopulation(name, shape, **{k: np.asarray(v) if k != "reset" else v for k, v in fields.items()})


def network(**options):
    """Return an image into a convolution, a skip beside it, and a classifier."""
    rng = np.random.default_rng(0)
    kernel = (rng.integers(-40, 90, (2, 1, 3, 3)) // 2 * 2).astype(np.int16)
    classes = (rng.integers(-60, 90, (3, 32)) // 2 * 2).astype(np.int16)
    skip = (rng.integers(-60, 90, (3, 16)) // 2 * 2).astype(np.int16)
    return IntegerNetwork(
        "net",
        6,
        (InputPort("image", (1, 4, 4)),),
        (lif("conv", (2, 4, 4)), lif("classes", (3,), **options)),
        (
            ConvProjection("kernel", "image", "conv", kernel, padding=(1, 1), weight_exp=1),
            DenseProjection("last", "conv", "classes", classes),
            DenseProjection("skip", "image", "classes", skip),
        ),
        ("classes",),
    )


def blueprint(net):
    return plan_processes(net, make_schedule(net), recorded=list(net.outputs), board=True)


@pytest.mark.parametrize(
    ("environment", "way"),
    [
        ({}, ""),
        ({"NXSDKHOST": "10.0.0.1"}, ""),
        ({"NOSLURM": "1"}, ""),
        ({"NOSLURM": "1", "NXSDKHOST": "10.0.0.1"}, "the board at 10.0.0.1"),
        ({"SLURM": "0"}, ""),
        ({"SLURM": "1"}, "SLURM"),
        ({"SLURM": "1", "BOARD": "ncl-01"}, "SLURM, ncl-01"),
        ({"NOSLURM": "1", "SLURM": "1"}, ""),
    ],
)
def test_ways_to_a_board(environment, way):
    assert way_to_board({"PATH": "/nowhere", **environment}) == way


def test_a_cluster_is_found_by_its_command(tmp_path):
    command = tmp_path / "sinfo"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    assert way_to_board({"PATH": str(tmp_path)}) == "SLURM"


def test_without_the_extension_the_target_is_missing():
    status = TARGET.status()
    assert not status.available
    with pytest.raises(TargetMissingError) as error:
        TARGET.load(network())
    assert error.value.code == "HSNN-T030"
    assert error.value.exit_status == 6
    assert "emulator" in error.value.fix


def test_a_stock_network_fits_a_board():
    refuse_what_a_board_lacks(blueprint(network()))


@pytest.mark.parametrize(
    ("change", "named"),
    [({"threshold": np.int32(6401)}, "6401"), ({"reset": "none"}, "'none'"), ({"dv": np.int32([1, 2, 3])}, "own")],
)
def test_neurons_that_only_we_can_compute_are_refused_by_name(change, named):
    with pytest.raises(UnsupportedError) as error:
        refuse_what_a_board_lacks(blueprint(network(**change)))
    assert error.value.code == "HSNN-T032"
    assert "population:classes" in error.value.found
    assert named in error.value.found
    assert "population:conv" not in error.value.found
    assert error.value.fix


def test_every_reason_is_told_at_once():
    net = network()
    out = IntegratorPopulation("out", (2,), np.int32(0), np.int32(0), ZERO)
    late = ConvProjection("late", "image", "conv", np.full((2, 1, 1, 1), 2, np.int16), delay=2)
    weights = np.full((2, 3), 2, np.int16)
    net = IntegerNetwork(
        "net",
        6,
        net.inputs,
        (*net.populations, out),
        (*net.projections, late, DenseProjection("read", "classes", "out", weights)),
        ("out",),
    )
    with pytest.raises(UnsupportedError) as error:
        refuse_what_a_board_lacks(blueprint(net))
    assert "population:out" in error.value.found
    assert "wait 2 timesteps" in error.value.found


def test_processes_that_fell_back_to_the_cpu_are_refused_by_name():
    def compiled(*resources):
        kinds = [type(name, (), {}) for name in resources]
        return SimpleNamespace(model_class=SimpleNamespace(required_resources=kinds))

    processes = {
        "population:a": compiled("Loihi2NeuroCore"),
        "projection:b": compiled("CPU"),
        "projection:c": compiled("NeuroCore"),
        "sink:0": compiled("CPU"),
    }
    refuse_fallbacks(processes, ["population:a", "projection:c"])
    with pytest.raises(UnsupportedError) as error:
        refuse_fallbacks(processes, ["population:a", "projection:b", "projection:c"])
    assert error.value.code == "HSNN-T033"
    assert "projection:b" in error.value.found
    assert "sink:0" not in error.value.found


ADAPTER_PROCESS = """
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess

class Adapter(AbstractProcess):
    def __init__(self, *, shape, num_message_bits=0):
        super().__init__(shape=shape)
        self.inp, self.out = InPort(shape=shape), OutPort(shape=shape)
"""
ADAPTER_MODEL = """
import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.embedded_io.spike.process import Adapter

@implements(proc=Adapter, protocol=LoihiProtocol)
@requires(CPU)
class PyAdapter(PyLoihiProcessModel):
    inp = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def run_spk(self):
        self.out.send(self.inp.recv())
"""
ADAPTERS = """
from lava.proc.embedded_io.spike.process import Adapter

PyToNxAdapter = PyToN3ConvAdapter = NxToPyAdapter = Adapter
"""
PRETENCE = """
from lava.magma.core import run_configs
from lava.magma.core.resources import Loihi2NeuroCore
from lava.proc.conv.models import PyConvModelFixed
from lava.proc.dense.models import PyDelayDenseModelBitAcc, PyDenseModelBitAcc
from lava.proc.lif.models import PyLifResetModelBitAcc

run_configs.Loihi2HwCfg.__init__.__defaults__ = (None, "fixed_pt", *run_configs.Loihi2HwCfg.__init__.__defaults__[2:])
for model in (PyConvModelFixed, PyDelayDenseModelBitAcc, PyDenseModelBitAcc, PyLifResetModelBitAcc):
    model.required_resources = [Loihi2NeuroCore]
"""


@pytest.fixture
def extension(monkeypatch, tmp_path):
    """A stand-in for Intel's extension: its module names, and adapters that pass spikes on."""
    root = tmp_path / "extension"
    files = {
        "lava/utils/loihi2_profiler.py": "",
        "lava/magma/core/model/c/model.py": "class AbstractCProcessModel: ...\nclass CLoihiProcessModel: ...\n",
        "lava/magma/core/model/nc/model.py": "class AbstractNcProcessModel: ...\n",
        "lava/proc/embedded_io/__init__.py": "",
        "lava/proc/embedded_io/spike/__init__.py": ADAPTERS,
        "lava/proc/embedded_io/spike/process.py": ADAPTER_PROCESS,
        "lava/proc/embedded_io/spike/models.py": ADAPTER_MODEL,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.syspath_prepend(root)
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("SLURM", "1")
    return root / "lava" / "proc" / "embedded_io" / "__init__.py"


@pytest.mark.lava
def test_with_an_extension_but_no_board_the_way_is_asked_for(extension, monkeypatch):
    assert TARGET.status().available
    monkeypatch.delenv("SLURM")
    status = TARGET.status()
    assert not status.available
    assert "NXSDKHOST" in status.detail


@pytest.mark.lava
def test_a_board_without_neurocore_models_is_refused(extension):
    with pytest.raises(UnsupportedError) as error:
        TARGET.load(network())
    assert error.value.code == "HSNN-T033"
    for name in ("population:conv", "population:classes", "projection:kernel", "projection:last", "projection:skip"):
        assert name in error.value.found


@pytest.mark.lava
def test_a_network_goes_through_the_adapters(extension):
    extension.write_text(textwrap.dedent(PRETENCE))
    net = network()
    executable = TARGET.load(net)
    try:
        names = set(executable.processes.values())
        inputs = random_inputs(net, 4, 1)
        got, want = executable.run(inputs, trace=True), REFERENCE.load(net).run(inputs)
    finally:
        executable.close()
    assert len(names) == 5 + 2 + 3  # computing, source and sink, one adapter each for Conv, Dense and the output
    np.testing.assert_array_equal(got.outputs["classes"], want.outputs["classes"])
    assert want.outputs["classes"].any()
    assert got.spike_counts == {"classes": want.spike_counts["classes"]}
    assert got.voltage["classes"].shape == (0, 3)
    assert "SLURM" in os.environ
