"""Populations of neurons on a device: their parameters, and one timestep of their state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hsnn.ir.arithmetic import DECAY_ONE, STATE_SHIFT
from hsnn.ir.integer import LifPopulation, Neuron, ResonatorPopulation, SigmaDeltaPopulation, size
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
    """

    u: Tensor
    v: Tensor
    held: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """Parameters of one population; all tensors are int64, ``(neuron,)`` or of one element.

    Attributes:
        neuron: The population.
        keep_u, keep_v: 4096 less the decays.
        bias, threshold, amount: As in :class:`hsnn.ir.integer.LifPopulation`; unused ones are 0.
    """

    neuron: Neuron
    keep_u: Tensor
    keep_v: Tensor
    bias: Tensor
    threshold: Tensor
    amount: Tensor

    @classmethod
    def of(cls, neuron: Neuron, device: str) -> Neurons:
        """Put the parameters of a population on a device."""

        def put(values: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> Tensor:
            return torch.from_numpy(values.astype(np.int64).reshape(-1)).to(device)

        zero = np.zeros((), np.int32)
        if isinstance(neuron, SigmaDeltaPopulation):
            return cls(neuron, put(zero), put(zero), put(neuron.bias), put(neuron.threshold), put(zero))
        if isinstance(neuron, ResonatorPopulation):
            raise TypeError("the target refuses resonators before this")
        lif = neuron if isinstance(neuron, LifPopulation) else None
        subtracts = lif is not None and lif.reset == "subtract"
        return cls(
            neuron,
            put(DECAY_ONE - 1 - neuron.du),
            put(DECAY_ONE - neuron.dv),
            put(neuron.bias),
            put(zero if lif is None else lif.threshold),
            put(lif.reset_amount if lif is not None and subtracts else zero),
        )

    def rest(self, samples: int) -> State:
        """State at the start of samples."""
        shape = (samples, size(self.neuron.shape))
        return State(*(torch.zeros(shape, dtype=torch.int64, device=self.bias.device) for _ in range(3)))

    def step(self, state: State, arriving: Tensor) -> Tensor:
        """Advance by one timestep and return what is sent: spikes as bytes, messages or voltages as int32.

        Args:
            state: The state, which is replaced.
            arriving: Synaptic input within 32 bits, shape ``(sample, neuron)``.
        """
        if isinstance(self.neuron, SigmaDeltaPopulation):
            return self._step_sigma_delta(self.neuron, state, arriving)
        shifted = rules.wrap_int32(arriving << STATE_SHIFT)
        state.u = rules.advance_current(state.u, shifted, self.keep_u)
        moved = rules.advance_voltage(state.v, state.u, self.bias, self.keep_v)
        if not isinstance(self.neuron, LifPopulation):
            state.v = moved
            return moved.to(torch.int32)
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

    def _step_sigma_delta(self, neuron: SigmaDeltaPopulation, state: State, arriving: Tensor) -> Tensor:
        state.u = rules.wrap_int32(state.u + arriving) if neuron.accumulate else arriving
        wanted = rules.wrap_int32(state.u + self.bias)
        if neuron.rectify:
            wanted = wanted.clamp(min=0)
        message, state.v = rules.encode_delta(
            wanted, state.v, self.threshold, shift=neuron.message_shift, keep_rest=neuron.keep_rest
        )
        return message.to(torch.int32)
