"""What NIR leaves open: how its differential equations become timesteps, and how neurons reset.

A NIR file holds time constants in seconds and a reset voltage. It does not say how long a timestep is, whether the
equations are integrated by Euler's rule or exactly, whether a spike subtracts the threshold instead of resetting, or
whether a voltage equal to the threshold spikes. Every library that writes NIR has its own answers, and some write
numbers that other readers take for something else. A policy states all of them. Nothing has a default: without a
policy a file with neurons is refused.

Sources of the presets: the exporters of snnTorch 1.0.0 (``export_nir.py``), Norse 1.1.0 (``utils/export_nir.py``),
sinabs 3.1.3 (``nir.py``), Rockpool 3.1.0 (``nn/modules/torch/nir.py``), SpikingJelly 2.0.0
(``nir_exchange/to_nir.py``), spyx 1.0.0 (``spyx/nir.py``), and the neurons that they export.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType

from hsnn.errors import UsageError

_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "integrator": ("euler", "exact"),
        "reset": ("value", "subtract", "subtract_next", "zero_next", "spyx"),
        "comparison": (">", ">="),
        "spikes": ("one", "many"),
        "floor": ("none", "threshold"),
        "synapse": ("ode", "jump", "kept"),
        "gain": ("decay", "one", "rockpool", "spyx"),
        "integrate": ("dt", "one"),
        "tau": ("seconds", "times_dt"),
        "initial": ("zero", "leak", "reset"),
        "inputs": ("graded", "binary"),
        "sends": ("now", "next"),
    }
)
"""Every choice but ``dt``, with what it may be."""


@dataclass(frozen=True, slots=True)
class NirPolicy:
    """How the numbers of a NIR file become timesteps.

    Attributes:
        dt: Seconds of a timestep, in the unit of the file's time constants.
        integrator: ``euler``: ``x += dt / tau * (...)``; ``exact``: decay ``exp(-dt / tau)``.
        reset: ``value``: to the reset voltage; ``subtract``: the threshold is subtracted when a neuron spikes;
            ``subtract_next``: it is subtracted one timestep later, after the decay; ``zero_next``: the voltage of
            the next timestep is zero, whatever comes in; ``spyx``: ``subtract_next`` of ``IF`` and ``LIF``,
            ``subtract`` of ``CubaLIF``.
        comparison: ``>`` or ``>=``.
        spikes: What a neuron sends in a timestep: ``one`` spike, or ``many``: one for every threshold that it holds.
        floor: Lowest voltage that a timestep leaves: ``none``, or minus the ``threshold``.
        synapse: Of ``CubaLIF`` and ``CubaLI``: ``ode``: a spike adds ``w_in`` times the decay of the current, as the
            equation says; ``jump``: it adds ``w_in``; ``kept``: it adds ``w_in`` times what is kept of the current.
        gain: Of neurons with a leak: ``decay``: the input is multiplied by the decay, as the equation says; ``one``:
            it is not; ``rockpool``: ``r`` is what Rockpool writes, ``tau / dt * exp(-dt / tau)`` for neurons that take
            their input as it is and for synapses that keep that much of it; ``spyx``: ``r`` of neurons that spike is
            what they keep, ``1 - dt / tau``, and they take their input as it is.
        integrate: Of ``IF`` and ``I``: ``dt``: ``v += dt * r * x``; ``one``: ``v += r * x``.
        tau: ``seconds``: as NIR defines; ``times_dt``: the file holds time constants times ``dt``.
        initial: Voltage when a sample starts: ``zero``, the ``leak`` or the ``reset`` voltage.
        inputs: What the inputs carry: ``graded``: any numbers, ``binary``: 0 and 1 only.
        sends: When ``IF``, ``LIF`` and ``CubaLIF`` send a spike: ``now``, when the voltage is above the threshold;
            ``next``: one timestep later.
        name: Preset that it comes from, or empty.
    """

    dt: float
    integrator: str
    reset: str
    comparison: str
    synapse: str = "ode"
    gain: str = "decay"
    integrate: str = "dt"
    tau: str = "seconds"
    initial: str = "reset"
    inputs: str = "graded"
    sends: str = "now"
    spikes: str = "one"
    floor: str = "none"
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no choice.

        Raises:
            UsageError: ``HSNN-F084``.
        """
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise _bad(f"dt of the NIR policy is {self.dt!r}", "seconds above 0, such as dt=1e-4")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise _bad(f"{name} of the NIR policy is {getattr(self, name)!r}", " or ".join(allowed))
        if self.gain == "rockpool" and self.integrator != "exact":
            raise _bad("gain=rockpool of the NIR policy goes with integrator=euler", "integrator=exact with it")
        if self.gain == "spyx" and self.integrator != "euler":
            raise _bad("gain=spyx of the NIR policy goes with integrator=exact", "integrator=euler with it")

    def record(self) -> dict[str, str | float]:
        """All choices, for the record of an artifact."""
        return asdict(self)

    def text(self) -> str:
        """The policy as it is written on the command line; :func:`parse_policy` reads it back."""
        return ",".join(f"{item.name}={getattr(self, item.name)}" for item in fields(self) if item.name != "name")


PRESETS: Mapping[str, NirPolicy] = MappingProxyType(
    {
        "snntorch-subtract": NirPolicy(1e-4, "euler", "subtract_next", ">", initial="zero"),
        "snntorch-zero": NirPolicy(1e-4, "euler", "value", ">", initial="zero"),
        "snntorch-synaptic-zero": NirPolicy(1e-4, "euler", "zero_next", ">", initial="zero"),
        "norse": NirPolicy(
            1e-3, "euler", "value", ">", synapse="jump", integrate="one", tau="times_dt", initial="leak"
        ),
        "sinabs": NirPolicy(1.0, "exact", "subtract", ">=", initial="zero", spikes="many"),
        "sinabs-unnormalized": NirPolicy(1.0, "exact", "subtract", ">=", gain="one", initial="zero", spikes="many"),
        "rockpool": NirPolicy(1e-3, "exact", "subtract", ">=", synapse="kept", gain="rockpool", initial="zero"),
        "spyx": NirPolicy(
            1.0, "euler", "spyx", ">", synapse="jump", gain="spyx", integrate="one", initial="zero", sends="next"
        ),
        "spikingjelly": NirPolicy(1e-4, "euler", "value", ">=", initial="reset"),
        "hsnn": NirPolicy(1e-4, "euler", "value", ">", initial="zero"),
    }
)
"""By library. ``hsnn`` is what ``hsnn-compile export`` writes, up to reset and comparison, which it records: files that
it wrote need no policy."""

POLICY_KEY, TIMESTEPS_KEY = "hsnn_policy", "hsnn_timesteps"
"""Keys of the metadata in which ``hsnn-compile export`` leaves what NIR has no field for."""

EQUATIONS = "equations"
"""Name for NIR's own equations, which leave ``dt`` to be given: ``equations,dt=1e-3``."""


def parse_policy(text: str) -> NirPolicy:
    """Read a policy: a preset, then changes of it: ``norse,dt=1e-4,inputs=binary``.

    Without a preset every choice that has no value in NIR's equations must be there.

    Raises:
        UsageError: ``HSNN-F084``, listing the presets.

    >>> parse_policy("spikingjelly,dt=0.001").dt
    0.001
    >>> parse_policy("equations,dt=0.5").integrator
    'euler'
    """
    first, *rest = [part.strip() for part in text.split(",") if part.strip()] or [""]
    given = dict(_pair(part) for part in (rest if "=" not in first else [first, *rest]))
    if first in PRESETS:
        return replace(PRESETS[first], **_typed(given), name=first)  # type: ignore[arg-type]  # checked there
    if first == EQUATIONS:
        given = {"integrator": "euler", "reset": "value", "comparison": ">", **given}
    elif "=" not in first:
        raise _bad(f"there is no NIR policy {first!r}", choices())
    missing = [name for name in ("dt", "integrator", "reset", "comparison") if name not in given]
    if missing:
        raise _bad(f"the NIR policy {text!r} does not say {', '.join(missing)}", choices())
    return NirPolicy(**_typed(given), name=first if first == EQUATIONS else "")  # type: ignore[arg-type]  # checked there


def read_back(policy: NirPolicy, kind: str) -> NirPolicy:
    """Return how the library of a preset reads a type of node; that of sinabs 3.1.3 gives an ``IF`` a floor."""
    return replace(policy, floor="threshold") if policy.name.startswith("sinabs") and kind == "IF" else policy


def changed_policy(policy: NirPolicy, text: str) -> NirPolicy:
    """Change a policy as the metadata of a node says, such as ``reset=subtract``.

    Raises:
        UsageError: ``HSNN-F084``.
    """
    given = dict(_pair(part.strip()) for part in text.split(",") if part.strip())
    return replace(policy, **_typed(given))  # type: ignore[arg-type]  # checked there


def choices() -> str:
    """What may be given, in words."""
    return f"{', '.join(PRESETS)}, {EQUATIONS} with dt=SECONDS, or any of them with changes such as reset=subtract"


def _pair(part: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    if value.startswith("=") and name == "comparison>":
        name, value = "comparison", ">="
    if not equals or name not in {"dt", *_CHOICES}:
        raise _bad(f"the NIR policy says {part!r}", f"NAME=VALUE with {', '.join(('dt', *_CHOICES))}")
    return name, value


def _typed(given: Mapping[str, str]) -> dict[str, object]:
    typed: dict[str, object] = dict(given)
    if "dt" in given:
        try:
            typed["dt"] = float(given["dt"])
        except ValueError:
            raise _bad(f"dt of the NIR policy is {given['dt']!r}", "seconds above 0, such as dt=1e-4") from None
    return typed


def _bad(found: str, allowed: str) -> UsageError:
    return UsageError("HSNN-F084", found, allowed=allowed, fix="docs/nir.md explains the choices")
