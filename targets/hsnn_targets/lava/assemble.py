"""Build Lava processes from a blueprint. Runs in the worker; the only importer of Lava beside our processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from lava.magma.core.learning.learning_rule import Loihi2FLearningRule, Loihi3FLearningRule
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense, LearningDense
from lava.proc.lif.process import LIF, LIFReset
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

from hsnn_targets.lava.blueprint import Blueprint, Kind, Part, Wire
from hsnn_targets.lava.delay_line.process import DelayLine
from hsnn_targets.lava.gated_adaptive.process import GatedAdaptive
from hsnn_targets.lava.gated_integrator.process import GatedIntegrator
from hsnn_targets.lava.gated_lif.process import GatedLif
from hsnn_targets.lava.gated_resonator.process import GatedResonator
from hsnn_targets.lava.gated_sigma_delta.process import GatedSigmaDelta
from hsnn_targets.lava.learner.process import Learner
from hsnn_targets.lava.plastic_dense.process import PlasticDense
from hsnn_targets.lava.spike_sink.process import SpikeSink
from hsnn_targets.lava.spike_source.process import SpikeSource
from hsnn_targets.lava.wide_conv.process import WideConv


def build_processes(blueprint: Blueprint) -> dict[str, Any]:
    """Build and connect all processes of a blueprint.

    Returns:
        The processes by the names of their parts.
    """
    processes = {part.name: build_part(part) for part in blueprint.parts}
    for wire in blueprint.wires:
        connect(processes, wire)
    return processes


def compile_processes(processes: Mapping[str, Any]) -> Any:
    """Compile connected processes for Lava's fixed-point simulation."""
    return next(iter(processes.values())).compile(Loihi2SimCfg(select_tag="fixed_pt"))


def build_part(part: Part) -> Any:
    """Build one process."""
    return BUILDERS[part.kind](part.name, {key: _tupled(value) for key, value in part.settings.items()}, part.arrays)


def connect(processes: Mapping[str, Any], wire: Wire) -> None:
    """Connect two ports; where shapes differ, the sender's is reshaped."""
    source = getattr(processes[wire.source], wire.source_port)
    target = getattr(processes[wire.target], wire.target_port)
    if source.shape != target.shape:
        source = source.reshape(target.shape)
    source.connect(target)


Settings = dict[str, Any]
Arrays = Mapping[str, np.ndarray]


def _plain(process: Callable[..., Any]) -> Callable[[str, Settings, Arrays], Any]:
    """Build a process whose constructor takes settings and arrays as they are."""
    return lambda name, settings, arrays: process(name=name, **settings, **arrays)


def _always(name: str, settings: Settings, arrays: Arrays) -> Any:
    """Build neurons that fire at every timestep: a bias of 1 over a threshold of 0."""
    return LIF(name=name, **settings, **arrays, du=4095, dv=0, bias_mant=1, bias_exp=0, vth=0)


def _dense(name: str, settings: Settings, arrays: Arrays) -> Any:
    mode = SignMode[settings.pop("sign_mode").upper()]
    return Dense(name=name, weights=arrays["weights"].astype(np.int32), sign_mode=mode, **settings)


def _plastic_dense(name: str, settings: Settings, arrays: Arrays) -> Any:
    """Build synapses that learn: Lava's own process where nothing lies behind them."""
    mode = SignMode[settings.pop("sign_mode").upper()]
    rule, epochs = dict(settings.pop("rule")), settings.pop("epochs")
    kind = Loihi3FLearningRule if rule.pop("third_factor") else Loihi2FLearningRule
    plain = {key: arrays[key].astype(np.int32) for key in ("weights", "tag_1", "tag_2")}
    traces = {key: arrays[key] for key in ("pre_traces", "post_traces")}
    settings |= {"name": name, "sign_mode": mode, "learning_rule": kind(**rule), **plain}
    if epochs or any(trace.any() for trace in traces.values()):
        return PlasticDense(epochs=epochs, **traces, **settings)
    return LearningDense(**settings)


def _delay_dense(name: str, settings: Settings, arrays: Arrays) -> Any:
    mode = SignMode[settings.pop("sign_mode").upper()]
    return DelayDense(name=name, weights=arrays["weights"].astype(np.int32), sign_mode=mode, **settings)


def _sparse(name: str, settings: Settings, arrays: Arrays) -> Any:
    mode = SignMode[settings.pop("sign_mode").upper()]
    return Sparse(name=name, weights=_matrix(arrays, settings.pop("shape")), sign_mode=mode, **settings)


def _delay_sparse(name: str, settings: Settings, arrays: Arrays) -> Any:
    mode = SignMode[settings.pop("sign_mode").upper()]
    weights = _matrix(arrays, settings.pop("shape"))
    delays = weights.astype(np.int64)  # DelaySparse takes no other type
    delays.data[:] = settings.pop("delays")
    return DelaySparse(name=name, weights=weights, delays=delays, sign_mode=mode, **settings)


def _matrix(arrays: Arrays, shape: tuple[int, int]) -> Any:
    return csr_matrix((arrays["data"].astype(np.int32), (arrays["rows"], arrays["columns"])), shape=shape)


def _tupled(value: Any) -> Any:
    """Turn JSON's lists of numbers back into tuples; shapes and windows are compared as such."""
    return tuple(value) if isinstance(value, list) and not any(isinstance(v, dict) for v in value) else value


BUILDERS: dict[Kind, Callable[[str, Settings, Arrays], Any]] = {
    "source": _plain(SpikeSource),
    "sink": _plain(SpikeSink),
    "lif_reset": _plain(LIFReset),
    "always": _always,
    "gated_lif": _plain(GatedLif),
    "gated_adaptive": _plain(GatedAdaptive),
    "gated_resonator": _plain(GatedResonator),
    "gated_integrator": _plain(GatedIntegrator),
    "gated_sigma_delta": _plain(GatedSigmaDelta),
    "dense": _dense,
    "delay_dense": _delay_dense,
    "delay_line": _plain(DelayLine),
    "sparse": _sparse,
    "delay_sparse": _delay_sparse,
    "conv": lambda name, settings, arrays: Conv(name=name, weight=arrays["weight"], **settings),
    "learner": _plain(Learner),
    "plastic_dense": _plastic_dense,
    "wide_conv": lambda name, settings, arrays: WideConv(name=name, weight=arrays["weight"], **settings),
}
