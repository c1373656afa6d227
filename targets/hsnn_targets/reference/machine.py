"""Run an IntegerNetwork timestep by timestep, as the rules in ``hsnn.ir.integer`` say.

Nothing here is clever. One function per rule, one loop over time, one over populations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plastic import needs_learning_engine
from hsnn.ir.populations import ConstantSource, Neuron, received_shape, sends
from hsnn.ir.validate import validate_network
from hsnn.ir.validate_batch import Inputs, validate_inputs, widen
from hsnn.target import Progress, SegmentResult, TargetStatus
from hsnn_targets.reference.dynamics import State, deliver, rest, step, total_activation
from hsnn_targets.reference.lessons import LearningReference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]


class ReferenceTarget:
    """The target ``reference``."""

    name = "reference"

    def status(self) -> TargetStatus:
        """Tell that the reference is always there."""
        return TargetStatus(True, "plain numpy", {"numpy": np.__version__})

    def load(self, network: IntegerNetwork, *, timeout: float | None = None) -> ReferenceExecutable | LearningReference:
        """Prepare a network; ``timeout`` is not used, a run cannot stall."""
        validate_network(network)
        if needs_learning_engine(network):
            return LearningReference(network)
        return ReferenceExecutable(network)


@dataclass(frozen=True, slots=True)
class ReferenceExecutable:
    """A network and nothing else: each run starts from zero."""

    network: IntegerNetwork

    def run(self, inputs: Inputs, *, trace: bool = False, progress: Progress | None = None) -> SegmentResult:
        """Run one batch; see :class:`hsnn.target.Executable`."""
        batch, given = validate_inputs(self.network, inputs), widen(inputs)
        states = {p.name: rest((batch, *p.shape)) for p in self.network.neurons}
        for t in range(self.network.timesteps):
            for neuron in self.network.neurons:
                activation = _activation(self.network, neuron, given, states, t)
                states[neuron.name].sent.append(step(neuron, states[neuron.name], activation))
        if progress is not None:
            progress(batch)
        sent = {name: np.stack(state.sent) for name, state in states.items()}
        spiking = [p.name for p in self.network.neurons if sends(p)]
        return SegmentResult(
            outputs={name: sent[name] if name in sent else given[name] for name in self.network.outputs},
            spikes={name: sent[name] for name in spiking} if trace else {},
            current={name: state.u for name, state in states.items()} if trace else {},
            voltage={name: state.v for name, state in states.items()} if trace else {},
            spike_counts={name: int(np.count_nonzero(sent[name])) for name in spiking},
        )

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


def _activation(
    network: IntegerNetwork, post: Neuron, inputs: Mapping[str, Int32], states: Mapping[str, State], t: int
) -> Int32:
    """Sum what all projections deliver to ``post`` at timestep ``t``; shape ``(batch, *feature)``."""
    batch = states[post.name].u.shape[0]
    parts = []
    for projection in network.into(post.name):
        sent_at = t - projection.delay
        if sent_at < 0:
            continue
        source = network.source(projection.pre)
        if isinstance(source, ConstantSource):
            spikes = np.ones((batch, *source.shape), np.int32)
        elif source.name in states:
            spikes = states[source.name].sent[sent_at]
        else:
            spikes = inputs[source.name][sent_at]
        parts.append(deliver(projection, spikes, received_shape(post)))
    return total_activation(parts, (batch, *received_shape(post)))
