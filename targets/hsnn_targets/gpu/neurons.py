"""Populations of neurons on a device: their parameters, and one timestep of their state."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch

from hsnn.ir.arithmetic import DECAY_ONE, STATE_SHIFT
from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    CountingLifPopulation,
    LifPopulation,
    Neuron,
    ResonatorPopulation,
    SigmaDeltaPopulation,
    received_shape,
)
from hsnn.ir.shape import part_indices, size
from hsnn_targets.gpu import rules

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(slots=True)
class State:
    """State of one population for some samples; all are ``(sample, neuron)`` int64.

    Attributes:
        u: Currents.
        v: Voltages.
        held: Timesteps that the voltage is still held after a spike.
        raised: What spikes have added to the threshold of adaptive neurons.
        refractory: What they have set against the voltage.
    """

    u: Tensor
    v: Tensor
    held: Tensor
    raised: Tensor
    refractory: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Adapting:
    """How thresholds adapt, as in :class:`hsnn.ir.populations.AdaptiveLifPopulation`; tensors like those of neurons.

    Attributes:
        keep_raised, keep_refractory: 4096 less the decays.
        step: What a spike adds to the threshold.
    """

    keep_raised: Tensor
    keep_refractory: Tensor
    step: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """Parameters of one population; all tensors are int64, ``(neuron,)`` or of one element.

    Attributes:
        neuron: The population.
        keep_u, keep_v: 4096 less the decays; cosine and sine of resonators.
        bias, threshold, amount: As in :class:`hsnn.ir.populations.LifPopulation`; unused ones are 0.
        adapting: How thresholds adapt; None where they do not.
        v_min: Floor of the voltage of neurons that count; None for others.
        parts: Where the real and the imaginary parts of a resonator's input lie, ``(2, neuron)``; None for others.
    """

    neuron: Neuron
    keep_u: Tensor
    keep_v: Tensor
    bias: Tensor
    threshold: Tensor
    amount: Tensor
    adapting: Adapting | None = None
    v_min: Tensor | None = None
    parts: Tensor | None = None

    @classmethod
    def of(cls, neuron: Neuron, device: str) -> Neurons:
        """Put the parameters of a population on a device."""

        def put(values: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> Tensor:
            return torch.from_numpy(values.astype(np.int64).reshape(-1)).to(device)

        zero = np.zeros((), np.int32)
        if isinstance(neuron, SigmaDeltaPopulation):
            return cls(neuron, put(zero), put(zero), put(neuron.bias), put(neuron.threshold), put(zero))
        if isinstance(neuron, ResonatorPopulation):
            parts = torch.from_numpy(part_indices(neuron.shape).reshape(2, -1)).to(device)
            cos, sin = put(neuron.cos_decay), put(neuron.sin_decay)
            return cls(neuron, cos, sin, put(zero), put(neuron.threshold), put(zero), parts=parts)
        lif = neuron if isinstance(neuron, LifPopulation) else None
        subtracts = lif is not None and lif.reset == "subtract"
        adapting = None
        if isinstance(neuron, AdaptiveLifPopulation):
            adapting = Adapting(
                put(DECAY_ONE - neuron.threshold_decay),
                put(DECAY_ONE - neuron.refractory_decay),
                put(neuron.threshold_step),
            )
        return cls(
            neuron,
            put(DECAY_ONE - 1 - neuron.du),
            put(DECAY_ONE - neuron.dv),
            put(neuron.bias),
            put(zero if lif is None else lif.threshold),
            put(lif.reset_amount if lif is not None and subtracts else zero),
            adapting,
            put(neuron.v_min) if isinstance(neuron, CountingLifPopulation) else None,
        )

    @property
    def inputs(self) -> int:
        """How many sums of synapses the population takes at a timestep."""
        return size(received_shape(self.neuron))

    def rest(self, samples: int) -> State:
        """State at the start of samples."""
        shape = (samples, size(self.neuron.shape))
        return State(*(torch.zeros(shape, dtype=torch.int64, device=self.bias.device) for _ in fields(State)))

    def step(self, state: State, arriving: Tensor) -> Tensor:
        """Advance by one timestep and return what is sent: spikes as bytes, messages or voltages as int32.

        Args:
            state: The state, which is replaced.
            arriving: Synaptic input within 32 bits, shape ``(sample, inputs)``.
        """
        if isinstance(self.neuron, SigmaDeltaPopulation):
            return self._step_sigma_delta(self.neuron, state, arriving)
        shifted = rules.wrap_int32(arriving << STATE_SHIFT)
        if isinstance(self.neuron, ResonatorPopulation) and self.parts is not None:
            fires, state.u, state.v = rules.resonate(
                state.u,
                state.v,
                (shifted[:, self.parts[0]], shifted[:, self.parts[1]]),
                keeps=(self.keep_u, self.keep_v),
                threshold=self.threshold,
                firing=self.neuron.firing,
            )
            return fires.to(torch.uint8)
        state.u = rules.advance_current(state.u, shifted, self.keep_u)
        moved = rules.advance_voltage(state.v, state.u, self.bias, self.keep_v)
        if not isinstance(self.neuron, LifPopulation):
            state.v = moved
            return moved.to(torch.int32)
        if self.adapting is not None:
            state.v = moved
            return self._adapt(self.adapting, state).to(torch.uint8)
        if isinstance(self.neuron, CountingLifPopulation):
            return self._count(self.neuron, state, moved)
        fires = moved > self.threshold
        if self.neuron.refractory:
            held = state.held > 0
            moved = torch.where(held, state.v, moved)
            fires &= ~held
            state.held = torch.where(fires, self.neuron.refractory, (state.held - 1).clamp(min=0))
        match self.neuron.reset:
            case "zero":
                state.v = moved * ~fires
            case "subtract":
                state.v = moved - self.amount * fires
            case "none":
                state.v = moved
        return fires.to(torch.uint8)

    def _count(self, neuron: CountingLifPopulation, state: State, moved: Tensor) -> Tensor:
        """Tell how often neurons fire that count, and advance what follows from it."""
        held = state.held > 0
        v = torch.where(held, state.v, moved)
        counts = rules.count_spikes(v, self.threshold, neuron.max_spikes) * ~held
        state.held = torch.where(counts > 0, neuron.refractory, (state.held - 1).clamp(min=0))
        v = v * (counts == 0) if neuron.reset == "zero" else v - self.amount * counts
        state.v = torch.maximum(v, self.v_min) if self.v_min is not None else v
        return counts.to(torch.int32)

    def _adapt(self, adapting: Adapting, state: State) -> Tensor:
        """Tell which adaptive neurons fire, and advance their thresholds."""
        fires, state.raised, state.refractory = rules.adapt(
            state.v,
            rules.shrink(state.raised, adapting.keep_raised),
            rules.shrink(state.refractory, adapting.keep_refractory),
            threshold=self.threshold,
            step=adapting.step,
        )
        return fires

    def _step_sigma_delta(self, neuron: SigmaDeltaPopulation, state: State, arriving: Tensor) -> Tensor:
        state.u = rules.wrap_int32(state.u + arriving) if neuron.accumulate else arriving
        wanted = rules.wrap_int32(state.u + self.bias)
        if neuron.rectify:
            wanted = wanted.clamp(min=0)
        message, state.v = rules.encode_delta(
            wanted, state.v, self.threshold, shift=neuron.message_shift, keep_rest=neuron.keep_rest
        )
        return message.to(torch.int32)
