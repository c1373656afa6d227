"""A program as plain values: what ``build`` and ``inspect`` tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import assert_never

from hsnn.artifact.learning_rules import encode_rule
from hsnn.commands.plain import plain
from hsnn.ir.integer import count_synapses
from hsnn.ir.plastic import LearnerPopulation, PlasticProjection
from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    ConstantSource,
    CountingLifPopulation,
    IntegratorPopulation,
    LifPopulation,
    ResonatorPopulation,
    SigmaDeltaPopulation,
)
from hsnn.ir.projections import ConvProjection, DenseProjection, SparseProjection
from hsnn.ir.shape import size
from hsnn.program import ChipStage
from hsnn.report.facts import all_synapses, kind_of, neurons, weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.integer import IntegerNetwork
    from hsnn.ir.populations import Population
    from hsnn.ir.projections import Projection
    from hsnn.program import Json, Program, ProgramStage


def describe_build(program: Program) -> dict[str, Json]:
    """Where everything went, what crosses, what quantization cost, and how it fits the chip."""
    cuts: list[Json] = [
        {
            "value": cut.value,
            "source": cut.source,
            "target": cut.target,
            "shape": list(cut.shape),
            "timesteps": cut.timesteps,
            "spikes_per_timestep": plain(program.cut_spikes.get(cut.value)),
        }
        for cut in program.cuts
    ]
    return {
        "source": program.metadata.source,
        "target": program.metadata.target,
        "seed": program.metadata.seed,
        "inputs": plain(program.inputs),
        "outputs": plain(program.outputs),
        "stages": [describe_stage(stage) for stage in program.stages],
        "placements": plain(program.placements),
        "freeze_rescale": plain(program.metadata.options.get("freeze_rescale")),
        "cuts": cuts,
        "layers": plain(program.layers),
        "mapping": plain(program.mapping),
    }


def describe_stage(stage: ProgramStage) -> dict[str, Json]:
    """What one stage reads, makes and holds."""
    common: dict[str, Json] = {"name": stage.name, "reads": plain(stage.reads), "makes": plain(stage.makes)}
    if not isinstance(stage, ChipStage):
        return {**common, "kind": "host", "model_bytes": len(stage.model)}
    return {
        **common,
        "kind": "chip",
        "network": describe_network(stage.network),
        "input_scales": {item.port: plain(item.scale) for item in stage.inputs},
        "output_scales": {item.population: plain(item.scale) for item in stage.outputs},
    }


def describe_network(network: IntegerNetwork) -> dict[str, Json]:
    """Populations and projections of a network, with their numbers and ranges."""
    return {
        "name": network.name,
        "timesteps": network.timesteps,
        "neurons": neurons(network),
        "synapses": all_synapses(network),
        "inputs": plain(network.inputs),
        "populations": [describe_population(item) for item in network.populations],
        "projections": [describe_projection(network, item) for item in network.projections],
        "outputs": plain(network.outputs),
    }


_TEACHING = ("label", "reward", "penalty", "stability_up", "stability_down", "recruit_margin")


def describe_population(item: Population) -> dict[str, Json]:
    """Size and parameters of a population; a parameter is given as its smallest and largest value."""
    return {
        "name": item.name,
        "kind": kind_of(item),
        "shape": list(item.shape),
        "neurons": size(item.shape),
        **_parameters(item),
    }


def _parameters(item: Population) -> dict[str, Json]:
    match item:
        case ConstantSource():
            return {}
        case SigmaDeltaPopulation():
            return {
                "threshold": _range(item.threshold),
                "bias": _range(item.bias),
                "message_shift": item.message_shift,
                "accumulate": item.accumulate,
                "rectify": item.rectify,
                "keep_rest": item.keep_rest,
            }
        case ResonatorPopulation():
            return {
                "cos_decay": _range(item.cos_decay),
                "sin_decay": _range(item.sin_decay),
                "threshold": _range(item.threshold),
                "firing": item.firing,
            }
        case IntegratorPopulation():
            return {"du": _range(item.du), "dv": _range(item.dv), "bias": _range(item.bias)}
        case LifPopulation():
            return {
                "du": _range(item.du),
                "dv": _range(item.dv),
                "bias": _range(item.bias),
                "threshold": _range(item.threshold),
                "reset": item.reset,
                "reset_amount": _range(item.reset_amount),
                "refractory": item.refractory,
                **_own_parameters(item),
            }
        case _:
            assert_never(item)


def _own_parameters(item: LifPopulation) -> dict[str, Json]:
    """What kinds of LIF neurons have beside the parameters of all."""
    match item:
        case AdaptiveLifPopulation():
            return {
                "threshold_decay": _range(item.threshold_decay),
                "refractory_decay": _range(item.refractory_decay),
                "threshold_step": _range(item.threshold_step),
            }
        case CountingLifPopulation():
            return {"max_spikes": item.max_spikes, "largest_count": item.largest_count, "v_min": _range(item.v_min)}
        case LearnerPopulation():
            taught = {name: plain(getattr(item, name)) for name in _TEACHING}
            recruited = int(np.count_nonzero(item.recruited))
            return {**taught, "recruited": recruited, "stability": _range(item.stability)}
        case _:
            return {}


def describe_projection(network: IntegerNetwork, item: Projection) -> dict[str, Json]:
    """Ends, number of synapses and range of weights of a projection."""
    weights = weights_of(item)
    common: dict[str, Json] = {
        "name": item.name,
        "pre": item.pre,
        "post": item.post,
        "synapses": count_synapses(network, item),
        "stored_weights": int(weights.size),
        "nonzero_weights": int(np.count_nonzero(weights)),
        "weights": _range(weights) if weights.size else None,
        "weight_exp": item.weight_exp,
        "delay": item.delay,
    }
    match item:
        case PlasticProjection():
            state: dict[str, Json] = {"sign_mode": item.sign_mode, "epochs": item.epochs}
            return {**common, "kind": "plastic", **state, "rule": encode_rule(item.rule)}
        case DenseProjection():
            return {**common, "kind": "dense", "sign_mode": item.sign_mode, "num_weight_bits": item.num_weight_bits}
        case SparseProjection():
            return {**common, "kind": "sparse"}
        case ConvProjection():
            how: dict[str, Json] = {
                "kernel": list(item.weights.shape),
                "stride": list(item.stride),
                "padding": list(item.padding),
                "dilation": list(item.dilation),
                "groups": item.groups,
            }
            return {**common, "kind": "conv", **how}
        case _:
            assert_never(item)


def _range(values: NDArray[np.int32] | NDArray[np.int16]) -> list[Json]:
    return [int(values.min()), int(values.max())]
