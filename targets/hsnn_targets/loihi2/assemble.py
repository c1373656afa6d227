"""Build a blueprint for a board: the same processes, with Intel's adapters at the borders.

Runs in the worker where Intel's extension is installed; how its classes are called is known from public
user code (lava-dl notebooks at d825ac506e, lava-nc/lava-optimization tests). That adapters add no timestep
beyond those of the simulation is assumed; ``hsnn-compile verify`` compares a board with the simulation.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lava.magma.core.run_configs import Loihi2HwCfg
from lava.proc.embedded_io.spike import NxToPyAdapter, PyToN3ConvAdapter, PyToNxAdapter
from lava.utils import loihi

from hsnn_targets.lava.assemble import build_part, connect
from hsnn_targets.lava.blueprint import Blueprint, Part, Wire
from hsnn_targets.loihi2.rules import ON_CHIP, refuse_fallbacks

CONV_MESSAGE_BITS = 16
"""What public code gives PyToN3ConvAdapter for graded spikes."""


def build_processes(blueprint: Blueprint) -> dict[str, Any]:
    """Build and connect all processes, with adapters between host and chip."""
    if "SLURM" not in os.environ and "NOSLURM" not in os.environ:
        loihi.use_slurm_host(partition=os.environ.get("PARTITION"), board=os.environ.get("BOARD"))
    parts = {part.name: part for part in blueprint.parts}
    processes = {name: build_part(part) for name, part in parts.items()}
    for wire in blueprint.wires:
        for hop in _with_adapter(parts, processes, wire):
            connect(processes, hop)
    return processes


def compile_processes(processes: Mapping[str, Any]) -> Any:
    """Compile for Loihi 2 and refuse what Lava would quietly leave on the CPU.

    Raises:
        UnsupportedError: ``HSNN-T033``.
    """
    executable = next(iter(processes.values())).compile(Loihi2HwCfg())
    refuse_fallbacks(processes, [name for name in processes if name.split(":")[0] in ("population", "projection")])
    return executable


def _with_adapter(parts: Mapping[str, Part], processes: dict[str, Any], wire: Wire) -> list[Wire]:
    """Route a wire that crosses the border through an adapter; add the adapter if it is new."""
    source, target = parts[wire.source], parts[wire.target]
    if source.kind == "source":
        conv = target.kind == "conv"
        name = f"{'conv' if conv else 'dense'} adapter:{source.name}"
        if name in processes:
            return [Wire(name, "out", wire.target, wire.target_port)]
        processes[name] = _inlet(source, target, conv=conv)
        inward = Wire(wire.source, wire.source_port, name, "inp")
        return [inward, Wire(name, "out", wire.target, wire.target_port)]
    if target.kind == "sink" and source.kind in ON_CHIP:
        name = f"adapter:{source.name}"
        shape = tuple(source.settings["shape"])
        processes[name] = NxToPyAdapter(shape=shape, num_message_bits=0)
        outward = Wire(wire.source, wire.source_port, name, "inp")
        return [outward, Wire(name, "out", wire.target, wire.target_port)]
    return [wire]


def _inlet(source: Part, target: Part, *, conv: bool) -> Any:
    shape, bits = tuple(source.settings["shape"]), target.settings["num_message_bits"]
    if conv:
        return PyToN3ConvAdapter(shape=shape, **({"num_message_bits": CONV_MESSAGE_BITS} if bits else {}))
    return PyToNxAdapter(shape=shape, num_message_bits=bits)
