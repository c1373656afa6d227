"""Check that the parts of a program agree with one another."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np

from hsnn.errors import ArtifactError
from hsnn.ir.plan import ModelValue
from hsnn.program import ChipStage, Program


def validate_program(program: Program) -> None:
    """Check names, dataflow and bridges; networks have :func:`hsnn.ir.validate.validate_network`.

    1. Names of stages are unique, not empty and free of slashes.
    2. Every value is made once, before it is read; every model output is made.
    3. Every port of a chip stage is fed once; every value that leaves it names an output.
    4. Scales are finite and above 0.
    5. Inputs and outputs have a known dtype and at most one batch axis.

    Raises:
        ArtifactError: ``HSNN-A001``, naming the stage or value.
    """
    _require_unique([stage.name for stage in program.stages], "stage")
    _require_unique([value.name for value in program.inputs], "model input")
    _require_unique([value.name for value in program.outputs], "model output")
    for value in (*program.inputs, *program.outputs):
        _check_value(value)
    made = {value.name for value in program.inputs}
    for stage in program.stages:
        _require(bool(stage.name) and "/" not in stage.name, f"a stage is called {stage.name!r}", "a name without '/'")
        _require_made(stage.reads, made, f"stage {stage.name!r}")
        _require_unique(stage.reads if not isinstance(stage, ChipStage) else (), f"input of stage {stage.name!r}")
        _require_unique(stage.makes, f"output of stage {stage.name!r}")
        again = sorted(made.intersection(stage.makes))
        _require(not again, f"stage {stage.name!r} makes {', '.join(again)}, which is there already", "new values")
        if isinstance(stage, ChipStage):
            _check_bridge(stage)
        made.update(stage.makes)
    _require_made([value.name for value in program.outputs], made, "the model's output")
    unknown = sorted(set(program.cut_spikes).difference(cut.value for cut in program.cuts))
    _require(not unknown, f"cut_spikes names {', '.join(unknown)}", "values of cuts")


def _check_value(value: ModelValue) -> None:
    try:
        known = np.dtype(value.dtype).name == value.dtype and np.dtype(value.dtype).kind in "biuf"
    except TypeError:
        known = False
    _require(known, f"model value {value.name!r} has dtype {value.dtype!r}", "a numpy name such as float32")
    sizes = [extent for extent in value.shape if extent is not None]
    _require(
        value.shape.count(None) <= 1 and all(extent >= 1 for extent in sizes),
        f"model value {value.name!r} has shape {value.shape}",
        "extents of 1 or more, and None for one batch axis",
    )


def _check_bridge(stage: ChipStage) -> None:
    ports = sorted(port.name for port in stage.network.inputs)
    fed = sorted(item.port for item in stage.inputs)
    _require(fed == ports, f"stage {stage.name!r} feeds the ports {', '.join(fed)}", ", ".join(ports))
    for output in stage.outputs:
        _require(
            output.population in stage.network.outputs,
            f"stage {stage.name!r} takes {output.value!r} from {output.population!r}",
            ", ".join(stage.network.outputs),
        )
    scales = [(item.value, item.scale) for item in stage.inputs] + [(item.value, item.scale) for item in stage.outputs]
    for value, scale in scales:
        _require(
            math.isfinite(scale) and scale > 0,
            f"the scale of {value!r} at stage {stage.name!r} is {scale}",
            "a finite number above 0",
        )


def _require_made(names: Iterable[str], made: set[str], reader: str) -> None:
    missing = sorted(set(names).difference(made))
    _require(not missing, f"{reader} reads {', '.join(missing)}, which nothing before it makes", "values made before")


def _require_unique(names: Iterable[str], what: str) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    _require(not twice, f"more than one {what} is called {', '.join(twice)}", "unique names")


def _require(holds: bool, found: str, allowed: str) -> None:
    if not holds:
        raise ArtifactError("HSNN-A001", found, allowed=allowed, fix="compile the model again")
