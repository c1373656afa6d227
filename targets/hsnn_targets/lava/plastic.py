"""Parts of a network that learns, as Lava processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.ir.learning import LearningRule
from hsnn.ir.learning_text import format_products
from hsnn.ir.plastic import LearnerPopulation, PlasticProjection
from hsnn.ir.shape import Shape
from hsnn_targets.lava.blueprint import Part
from hsnn_targets.lava.layout import lava_shape, neuron_order, parameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn_targets.lava.clock import Window
    from hsnn_targets.lava.sender import Sender

NO_LEARNER = "Lava's library has no neuron that sends a third factor to LearningDense"
LEARNED = ("weights", "tag_1", "tag_2", "x1", "x2", "y1", "y2", "y3")
"""Variables of LearningDense that hold what a projection has learned."""
TAUGHT = ("stability", "recruited")
"""Variables of the learners' process likewise."""


def projection_name(name: str) -> str:
    """Name of the part that carries a projection."""
    return f"projection:{name}"


def learner_part(name: str, neuron: LearnerPopulation, window: Window) -> Part:
    """Describe the process of a learner population."""
    shape = neuron.shape
    amounts = ("reward", "penalty", "stability_up", "stability_down", "recruit_margin", "bias_exp")
    settings: dict[str, Any] = {key: int(getattr(neuron, key)) for key in amounts}
    settings |= {"shape": lava_shape(shape), "window": window, "column": shape[1]}
    single = ("du", "dv", "threshold", "bias_mant", "stability", "recruited")
    return Part(name, "learner", settings, {key: parameter(getattr(neuron, key), shape) for key in single}, NO_LEARNER)


def stored_part(projection: PlasticProjection, sender: Sender, post: Shape) -> Part:
    """Describe a projection that does not learn in this run; nine bits keep Lava from making weights even."""
    return Part(
        projection_name(projection.name),
        "dense",
        _settings(projection, sender),
        {"weights": _weights(projection, sender, post)},
    )


def plastic_part(projection: PlasticProjection, sender: Sender, post: Shape, *, third_factor: bool) -> Part:
    """Describe a projection that learns."""
    rows, columns = neuron_order(post), neuron_order(sender.shape)
    settings = _settings(projection, sender)
    settings |= {"epochs": projection.epochs, "rule": _rule(projection.rule, third_factor=third_factor)}
    arrays: dict[str, NDArray[Any]] = {
        "weights": _weights(projection, sender, post),
        "tag_1": projection.tag[np.ix_(rows, columns)],
        "tag_2": projection.tag_delay[np.ix_(rows, columns)],
        "pre_traces": projection.pre_traces[:, columns],
        "post_traces": projection.post_traces[:, rows],
    }
    return Part(projection_name(projection.name), "plastic_dense", settings, arrays)


def learned_arrays(read: dict[str, NDArray[np.int64]], pre: Shape, post: Shape) -> dict[str, NDArray[Any]]:
    """Turn what was read from LearningDense into arrays of a plastic projection.

    Args:
        read: Variables by Lava's names: ``weights``, ``tag_1`` and ``tag_2`` with an entry for each synapse, traces
            ``x1``, ``x2`` for each presynaptic and ``y1`` to ``y3`` for each postsynaptic neuron, in Lava's order.
        pre: Feature shape of the source.
        post: Feature shape of the population that learns.

    Returns:
        ``weights`` (int16), ``tag`` and ``tag_delay`` (int32) of shape ``(post, pre)``, ``pre_traces`` of
        ``(2, pre)``, ``post_traces`` of ``(3, post)``, neurons in hsnn's order.
    """
    rows, columns = np.argsort(neuron_order(post)), np.argsort(neuron_order(pre))
    matrix = {key: read[key].reshape(rows.size, columns.size)[np.ix_(rows, columns)] for key in LEARNED[:3]}
    return {
        "weights": matrix["weights"].astype(np.int16),
        "tag": matrix["tag_1"].astype(np.int32),
        "tag_delay": matrix["tag_2"].astype(np.int32),
        "pre_traces": np.stack([read["x1"], read["x2"]])[:, columns].astype(np.int32),
        "post_traces": np.stack([read["y1"], read["y2"], read["y3"]])[:, rows].astype(np.int32),
    }


def _weights(projection: PlasticProjection, sender: Sender, post: Shape) -> NDArray[np.int16]:
    return projection.weights[np.ix_(neuron_order(post), neuron_order(sender.shape))]


def _settings(projection: PlasticProjection, sender: Sender) -> dict[str, Any]:
    return {
        "weight_exp": projection.weight_exp,
        "num_weight_bits": 9 if projection.sign_mode == "mixed" else 8,
        "num_message_bits": sender.message_bits,
        "sign_mode": projection.sign_mode,
    }


def _rule(rule: LearningRule, *, third_factor: bool) -> dict[str, Any]:
    """Arguments of Lava's rule."""
    sums = {name: format_products(getattr(rule, name), rule.decimate) or None for name in ("dw", "dd", "dt")}
    traces: dict[str, float] = {}
    for name in ("x1", "x2") if third_factor else ("x1", "x2", "y1", "y2", "y3"):
        impulse, tau = getattr(rule, name)
        traces |= {f"{name}_impulse": float(impulse), f"{name}_tau": float(tau)}
    return {"third_factor": third_factor, **sums, **traces, "t_epoch": rule.epoch, "rng_seed": rule.seed}
