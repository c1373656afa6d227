"""What a board can compute: every part of a network that it cannot, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hsnn.errors import UnsupportedError
from hsnn_targets.lava.blueprint import Blueprint, Part

ON_CHIP = frozenset({"lif_reset", "always", "dense", "delay_dense", "sparse", "delay_sparse", "conv"})
"""Processes of Lava for which Intel's extension has neurocore models."""
ON_HOST = frozenset({"source", "sink"})
"""Ours; they feed and drain the board's adapters."""
NEUROCORES = frozenset({"NeuroCore", "Loihi2NeuroCore"})
FIXES = {
    "gated_lif": "use one decay and threshold for all neurons, reset to zero, no refractory time, no delays, "
    "one spike a timestep, no floor of the voltage; "
    "or run on loihi2-sim",
    "gated_integrator": "read out spikes (rate or class vote) instead of the membrane; or run on loihi2-sim",
    "gated_adaptive": "use Lif; or run on loihi2-sim",
    "gated_resonator": "use Lif; or run on loihi2-sim",
    "gated_sigma_delta": "use LIF neurons; or run on loihi2-sim",
    "wide_conv": "use fewer groups, a smaller weight_exp or smaller payloads; or run on loihi2-sim",
    "delay_line": "remove the delay or the skip around spiking layers; or run on loihi2-sim",
    "source": "remove the delay of the constant source; or run on loihi2-sim",
}


def refuse_what_a_board_lacks(blueprint: Blueprint) -> None:
    """Check that every part that computes is a process that a board has.

    Raises:
        UnsupportedError: ``HSNN-T032``, naming every part that is not.
    """
    bad = [part for part in blueprint.parts if part.kind not in ON_CHIP | ON_HOST]
    bad += [part for part in blueprint.parts if part.kind == "source" and part.name.startswith("constant:")]
    if bad:
        raise UnsupportedError(
            "HSNN-T032",
            "a Loihi 2 board cannot run " + "; ".join(_reason(part) for part in bad),
            allowed="Lava's own LIFReset, Dense, Sparse and Conv",
            fix="; ".join(dict.fromkeys(FIXES[part.kind] for part in bad)),
        )


def refuse_fallbacks(processes: Mapping[str, Any], computing: Iterable[str]) -> None:
    """Check after compiling that no process that computes has fallen back to the host's CPU.

    Lava's ``Loihi2HwCfg`` takes a CPU model without a word where it finds none for neurocores.

    Args:
        processes: Compiled processes by name of their part.
        computing: Names of the parts that must be on neurocores.

    Raises:
        UnsupportedError: ``HSNN-T033``, naming every process that has.
    """
    fallen = [name for name in computing if not NEUROCORES & _resources(processes[name])]
    if fallen:
        raise UnsupportedError(
            "HSNN-T033",
            f"these would run on the host's CPU, not on the board: {', '.join(fallen)}",
            allowed="neurocore models for every population and projection",
            fix="install the version of Intel's extension that has them, or run on loihi2-sim",
        )


def _resources(process: Any) -> set[str]:
    return {resource.__name__ for resource in process.model_class.required_resources}


def _reason(part: Part) -> str:
    reason = part.obstacle or {
        "delay_line": f"its spikes would have to wait {part.settings.get('delay')} timesteps",
        "source": "it starts with a delay",
    }.get(part.kind, "it is not a process of Lava")
    return f"{part.name!r}: {reason}"
