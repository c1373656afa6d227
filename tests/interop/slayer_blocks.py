"""Every block of slayer that has an exporter, and those that slayer cannot export or run itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import numpy as np
from registry import ABSENT, POLICY, REFUSED, construct
from slayer import LIBRARY, SLAYER, T, assert_equal, cuba, export, fired, make_ready, neuron, slayer
from slayer_resonators import resonator

from hsnn.frontends.netx.build import NetxOptions, from_netx

rf_iz = slayer.block.rf_iz
FAMILIES = {name: getattr(slayer.block, name) for name in ("cuba", "alif", "sigma_delta", "rf", "rf_iz")}
NO_NEURONS = "its export_hdf5 asks for neurons, which it does not have"
RESONATORS = ("rf", "rf_iz")
COVERED = {
    "cuba.Dense": "cuba.Dense",
    "cuba.Conv, Pool and Flatten, with groups, strides and delays": "cuba.Conv cuba.Pool cuba.Flatten",
    "cuba.ConvT and Unpool": "cuba.ConvT cuba.Unpool",
    "cuba.Recurrent": "cuba.Recurrent",
    "cuba.Input with neurons, weight and bias": "cuba.Input",
    "cuba.Affine, read as a voltage": "cuba.Affine",
    "KWTA": "cuba.KWTA alif.KWTA",
    "alif.Dense, with norm and delays": "alif.Dense",
    "alif.Conv, Pool and Flatten": "alif.Conv alif.Pool alif.Flatten",
    "alif.ConvT and Unpool": "alif.ConvT alif.Unpool",
    "alif.Input with neurons, weight and bias": "alif.Input",
    "alif.Recurrent": "alif.Recurrent",
    "sigma_delta blocks: Input, Dense with norm and delays, Output": "sigma_delta.Input sigma_delta.Dense "
    "sigma_delta.Output",
    "sigma_delta.Conv, Pool, ConvT, Unpool and Flatten; messages as input and output": "sigma_delta.Conv "
    "sigma_delta.Pool sigma_delta.ConvT sigma_delta.Unpool sigma_delta.Flatten",
    "rf.Dense and rf_iz.Dense": "rf.Dense rf_iz.Dense",
    "rf and rf_iz: Conv, Pool and Flatten, with groups, strides and delays": "rf.Conv rf.Pool rf.Flatten "
    "rf_iz.Conv rf_iz.Pool rf_iz.Flatten",
    "rf and rf_iz: ConvT and Unpool": "rf.ConvT rf.Unpool rf_iz.ConvT rf_iz.Unpool",
    "Average, of every kind of neurons": "cuba.Average alif.Average sigma_delta.Average rf.Average rf_iz.Average",
    "TimeDecimation, of cuba, alif, rf and rf_iz": "cuba.TimeDecimation alif.TimeDecimation rf.TimeDecimation "
    "rf_iz.TimeDecimation",
    **{f"rf.{name} and rf_iz.{name}": f"rf.{name} rf_iz.{name}" for name in ("Input", "Affine", "Recurrent", "KWTA")},
}
"""Blocks that each row of the support matrix shows."""


def blocks() -> set[str]:
    """Names of all blocks that say how they are exported."""
    return {
        f"{kind}.{name}"
        for kind, module in FAMILIES.items()
        for name, item in vars(module).items()
        if isinstance(item, type) and hasattr(item, "export_hdf5")
    }


def exported(*blocks, x):
    """Let slayer run and export blocks, which fails."""
    make_ready(blocks, x)
    with tempfile.TemporaryDirectory() as folder:
        export(blocks, Path(folder) / "a.net")


def averaging(groups):
    """An Average block with an export, as the older slayer wrote it: Intel's ntidigits.net has such a layer."""
    block = cuba.Average(groups)

    def write(handle):
        handle.create_dataset("type", (1,), "S10", [b"average"])
        handle["shape"] = np.array([groups, 1, 1])

    block.export_hdf5 = write
    return block


@construct(LIBRARY, "average as the last layer", POLICY, note=SLAYER + "; the test writes it, as the older slayer did")
def average_layer():
    assert_equal(
        lambda shift: [cuba.Dense(neuron(), 12, 20, weight_scale=4, delay_shift=shift), averaging(5)], fired(8, 12)
    )


@construct(LIBRARY, "concat", REFUSED, code="HSNN-F072", note="lava-dl describes it, and nothing writes or reads it")
def concat():
    with tempfile.TemporaryDirectory() as folder:
        with h5py.File(Path(folder) / "a.net", "w") as file:
            for index, kind in enumerate((b"input", b"concat")):
                group = file.create_group(f"layer/{index}")
                group.create_dataset("type", (1,), "S10", [kind])
                group["shape"] = np.array([12])
            file["layer/1/layers"] = np.array([0])
        from_netx(Path(folder) / "a.net", NetxOptions(timesteps=T))


@construct(LIBRARY, "Average, of every kind of neurons", ABSENT, note=NO_NEURONS)
def average():
    assert all(kind.Average.export_hdf5 is cuba.Average.export_hdf5 for kind in FAMILIES.values())
    exported(cuba.Dense(neuron(), 12, 20, weight_scale=4), cuba.Average(5), x=fired(8, 12))


@construct(
    LIBRARY,
    "TimeDecimation, of cuba, alif, rf and rf_iz",
    ABSENT,
    note=NO_NEURONS,
)
def time_decimation():
    kinds = [kind for kind in FAMILIES.values() if hasattr(kind, "TimeDecimation")]
    assert len(kinds) == 4
    assert all(kind.TimeDecimation.export_hdf5 is cuba.TimeDecimation.export_hdf5 for kind in kinds)
    exported(cuba.Dense(neuron(), 12, 20, weight_scale=4), cuba.TimeDecimation(2), x=fired(8, 12))


@construct(LIBRARY, "rf.Input and rf_iz.Input", ABSENT, note="its neurons get one value, not two parts")
def resonator_input():
    exported(rf_iz.Input(resonator()), x=fired(8, 12))


@construct(LIBRARY, "rf.Affine and rf_iz.Affine", ABSENT, note="it sets a threshold that cannot be set")
def resonator_affine():
    rf_iz.Affine(resonator(), 12, 5)


@construct(LIBRARY, "rf.Recurrent and rf_iz.Recurrent", ABSENT, note="its forward adds up pairs of values")
def resonator_recurrent():
    exported(rf_iz.Recurrent(resonator(), 12, 12), x=fired(8, 12))


@construct(LIBRARY, "rf.KWTA and rf_iz.KWTA", ABSENT, note="its forward takes a pair of values for one")
def resonator_kwta():
    exported(rf_iz.KWTA(resonator(), 12, 8, 2), x=fired(8, 12))
