"""IntegerNetwork: what a chip computes, in integers only, with one exact meaning.

Time is *aligned*: at timestep ``t`` of a sample every neuron sees the spikes that its inputs sent at
``t - delay`` of the same sample, however many steps the hardware needs to carry them there. A target
hides that skew. State is zero when a sample starts, and nothing crosses from one sample to the next.

One timestep ``t`` in ``0 .. timesteps - 1``::

    a = sum over projections of  (W . s_pre[t - delay]) << weight_exp     0 where t < delay
        each projection wraps its own result: Conv at 24 bits, Dense and Sparse at 32
    u = wrap_current(shrink(u, du + 1) + (a << 6))
    v = clip(shrink(v, dv) + u + (bias_mant << bias_exp))                 held while refractory
    s = v > threshold                                                     never while refractory
    v = 0 | v - reset_amount | v   where s                                reset: zero | subtract | none

Neurons that count send several spikes at once, as a payload, and have a floor::

    s = min(max(v, 0) // (threshold + 1), max_spikes)                     0 while refractory
    v = max(0 | v - s * reset_amount, v_min)                              0 where s, for reset: zero

Sigma-delta neurons send graded messages instead of spikes, positive and negative ones, to any neurons::

    total = accumulate(total, a)                                          a itself without accumulate
    due = rectify_sum(total, bias) - sent                                 wraps at 32 bits
    message = due >> message_shift                                        where |due| >= threshold, else 0

Resonators have a complex state, which turns and shrinks; channel ``2 c`` of their input is the real part of what
neurons of channel ``c`` get, channel ``2 c + 1`` the imaginary one (:func:`received_shape`)::

    real = clip(shrink(real, 4096 - cos) - shrink(imag, 4096 - sin) + (a_real << 6))
    imag = clip(shrink(real, 4096 - sin) + shrink(imag, 4096 - cos) + (a_imag << 6))    both from the state before
    s = real >= threshold and imag >= 0 and imag before < 0               firing: phase
    s = imag >= threshold;  real = 0, imag = threshold - 1   where s      firing: izhikevich

The functions named here are in ``hsnn.ir.arithmetic``; ``hsnn_targets.reference`` runs them in this
order and is the judge of every other back end.
"""

from __future__ import annotations

from dataclasses import dataclass

from hsnn.ir.populations import ConstantSource, InputPort, Neuron, Population
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.shape import size


@dataclass(frozen=True, slots=True, eq=False)
class IntegerNetwork:
    """One spiking segment, ready for a chip.

    Attributes:
        name: Name of the segment.
        timesteps: Timesteps per sample.
        inputs: Ports that the host feeds.
        populations: Constant sources and neurons; every projection whose delay is 0 leads forward
            in this order.
        projections: Synapses.
        outputs: Names of populations (or ports) whose output goes back to the host: spikes of LIF
            populations, messages of sigma-delta ones, voltages of integrators.
    """

    name: str
    timesteps: int
    inputs: tuple[InputPort, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    outputs: tuple[str, ...]

    def source(self, name: str) -> InputPort | Population:
        """Return the port or population of that name.

        Raises:
            KeyError: If there is none.
        """
        for item in (*self.inputs, *self.populations):
            if item.name == name:
                return item
        raise KeyError(name)

    def into(self, name: str) -> tuple[Projection, ...]:
        """Return the projections into a population, in order."""
        return tuple(p for p in self.projections if p.post == name)

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """Populations that have a state."""
        return tuple(p for p in self.populations if not isinstance(p, ConstantSource))


def count_synapses(network: IntegerNetwork, projection: Projection) -> int:
    """Number of synapses; a kernel counts once for every place that it is applied to, borders included."""
    match projection:
        case DenseProjection():
            return projection.weights.size
        case SparseProjection():
            return projection.data.size
        case ConvProjection():
            return projection.weights.size * size(network.source(projection.post).shape[1:])
