"""What learns on the chip: synapses that carry a rule, and neurons that send the third factor.

Both are what they look like while nothing is taught: a :class:`PlasticProjection` is a dense projection,
a :class:`LearnerPopulation` a layer of LIF neurons. ``run`` never changes a weight; ``learn`` takes samples in
order, one after the other, and ends with another network (``hsnn.learning``).

A sample takes ``period`` timesteps of the hardware (``hsnn.passes.mapping.epochs``), a whole number of every rule's
epochs, and as long as all of its spikes need to get through. Weights, tags, traces, stabilities and the
random numbers go on from one sample to the next; currents and voltages start from zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.learning import LearningRule
from hsnn.ir.populations import LifPopulation
from hsnn.ir.projections import DenseProjection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PlasticProjection(DenseProjection):
    """All-to-all synapses that learn.

    Its weights use every integer of their range, where those of other projections with both signs are even.

    Attributes:
        rule: What the synapses do at the end of an epoch.
        tag: Tags ``t``, int32, shape ``(post neurons, pre neurons)``, -257 to 255.
        tag_delay: Tags ``d``, likewise, 0 to 255.
        pre_traces: ``x1`` and ``x2``, int32, shape ``(2, pre neurons)``, 0 to 127.
        post_traces: ``y1`` to ``y3``, int32, shape ``(3, post neurons)``, 0 to 127.
        epochs: Epochs that lie behind these weights; random numbers and ``u_k`` go on from there.
        name, pre, post, weights, weight_exp, sign_mode: As in :class:`hsnn.ir.projections.DenseProjection`;
            ``delay`` is 0 and ``num_weight_bits`` 8.
    """

    rule: LearningRule
    tag: Int32
    tag_delay: Int32
    pre_traces: Int32
    post_traces: Int32
    epochs: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LearnerPopulation(LifPopulation):
    """LIF neurons in columns, one column a class, that compete and tell their synapses what to learn.

    In one sample, after current and voltage of a timestep have been computed::

        first spike wins   where v > threshold, and none has won and no label has come yet: of these neurons the
                           one with the highest v wins and sends its only spike
        a label arrives    (the first payload c > 0 of the label's port means class c - 1; z(a) = a * 2^(-s/16))
          right winner     y1 = z(reward)   y2 = z(penalty)   s = min(s + stability_up, 127)      of the winner
          wrong winner                      y2 = z(penalty)   s = max(s - stability_down, 0)      of the winner
          no right winner  y1 = z(reward)                     s = max(s - stability_down, 0)      of a recruit

    The recruit is the neuron of the label's column with the highest ``v``, less ``recruit_margin`` if it has
    learned before; of equal ones the first. It sends no spike: it did not know the answer. ``y1`` and ``y2``
    last until the end of the sample's period, ``y3`` is 0. Voltages are never reset within a sample.

    This is CoLaNET's rule (anti-Hebbian depression of whoever spikes, dopamine for the right column, forced
    recruiting where a class was missed, stability ``s``) with one value a neuron and sample; signs are split
    over ``y1`` and ``y2``, since Lava clips traces of neurons that spike to 0 and above. Source: KNP's
    ``altai_stdp.h``, arXiv 2409.01230.

    Attributes:
        label: Name of the input port with the label; it has one neuron and payloads of 0 (none) to classes.
        reward, penalty: What a neuron of stability 0 sends, 0 to 127.
        stability_up, stability_down: Changes of the stability, 0 to 127; 16 halve or double what is learned.
        recruit_margin: 0 to 2**23 - 1, in units of voltage.
        stability: int32, shape ``shape``, 0 to 127.
        recruited: Whether a neuron has been taught, int32, shape ``shape``, 0 or 1.
        shape: ``(classes, neurons of a column)``; others as in :class:`hsnn.ir.populations.LifPopulation`, with
            ``reset`` "none" and ``refractory`` 0.
    """

    label: str
    reward: int
    penalty: int
    stability_up: int
    stability_down: int
    recruit_margin: int = 0
    stability: Int32 = field(repr=False)
    recruited: Int32 = field(repr=False)


def untaught(
    name: str,
    pre: str,
    post: str,
    weights: NDArray[np.int16],
    rule: LearningRule,
    *,
    weight_exp: int = 0,
) -> PlasticProjection:
    """Return a projection of mixed signs that has not learned yet: tags and traces are zero.

    Args:
        name: Unique among projections.
        pre: Name of the source.
        post: Name of the population that receives.
        weights: Effective weights to begin with, int16, shape ``(post neurons, pre neurons)``, even.
        rule: How they learn.
        weight_exp: Left shift of each sum, 0 to 15.
    """
    rows, columns = weights.shape
    return PlasticProjection(
        name,
        pre,
        post,
        weights,
        weight_exp,
        rule=rule,
        tag=np.zeros((rows, columns), np.int32),
        tag_delay=np.zeros((rows, columns), np.int32),
        pre_traces=np.zeros((2, columns), np.int32),
        post_traces=np.zeros((3, rows), np.int32),
    )


def plastic_projections(network: IntegerNetwork) -> tuple[PlasticProjection, ...]:
    """The projections that learn."""
    return tuple(p for p in network.projections if isinstance(p, PlasticProjection))


def learners(network: IntegerNetwork) -> tuple[LearnerPopulation, ...]:
    """The populations that send a third factor."""
    return tuple(p for p in network.populations if isinstance(p, LearnerPopulation))


def label_ports(network: IntegerNetwork) -> tuple[str, ...]:
    """Names of the ports that carry labels."""
    return tuple(p.label for p in learners(network))


def needs_learning_engine(network: IntegerNetwork) -> bool:
    """Whether a network has parts that only targets with a learning engine compute."""
    return bool(plastic_projections(network) or learners(network))


def has_third_factor(network: IntegerNetwork, projection: PlasticProjection) -> bool:
    """Whether the neurons that a projection leads to send its postsynaptic traces."""
    return isinstance(network.source(projection.post), LearnerPopulation)


def with_parts(
    network: IntegerNetwork,
    projections: dict[str, PlasticProjection],
    populations: dict[str, LearnerPopulation],
) -> IntegerNetwork:
    """Return a network with some parts replaced, by name."""
    return replace(
        network,
        populations=tuple(populations.get(p.name, p) for p in network.populations),
        projections=tuple(projections.get(p.name, p) for p in network.projections),
    )
