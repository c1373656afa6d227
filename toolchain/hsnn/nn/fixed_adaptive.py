"""Adaptive neurons whose states are numbers of fixed point already in float; :mod:`hsnn.nn.fixed` says what that is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hsnn.nn.fixed import Fire, FixedNeuron
from hsnn.nn.neuron import Parameter


class FixedAdaptiveLif(FixedNeuron):
    """:class:`~hsnn.nn.AdaptiveLif` on a grid, with what spikes leave behind on that grid too.

    Args:
        threshold: As in :class:`FixedLif`.
        resolution: As in :class:`FixedLif`.
        current_decay: As in :class:`FixedLif`.
        voltage_decay: As in :class:`FixedLif`.
        threshold_decay: As in :class:`~hsnn.nn.AdaptiveLif`.
        refractory_decay: As in :class:`~hsnn.nn.AdaptiveLif`.
        threshold_step: As in :class:`~hsnn.nn.AdaptiveLif`.
        bias: As in :class:`FixedLif`.

    Raises:
        UsageError: As in :class:`FixedLif`.
    """

    threshold: Tensor
    threshold_decay: Tensor
    refractory_decay: Tensor
    threshold_step: Tensor

    def __init__(
        self,
        threshold: Parameter = 1.0,
        *,
        resolution: float,
        current_decay: Parameter = 1.0,
        voltage_decay: Parameter = 0.5,
        threshold_decay: Parameter = 0.2,
        refractory_decay: Parameter = 0.2,
        threshold_step: Parameter = 0.5,
        bias: Parameter = 0.0,
    ) -> None:
        super().__init__(
            self._op_name(),
            current_decay=current_decay,
            voltage_decay=voltage_decay,
            bias=bias,
            resolution=resolution,
        )
        self._add_value("threshold", threshold, learn=False, low=torch.finfo(torch.float32).tiny, high=math.inf)
        self._add_value("threshold_decay", threshold_decay, learn=False, low=0.0, high=1.0)
        self._add_value("refractory_decay", refractory_decay, learn=False, low=0.0, high=1.0)
        self._add_value("threshold_step", threshold_step, learn=False, low=0.0, high=math.inf)

    @staticmethod
    def _op_name() -> str:
        return "FixedAdaptiveLif"

    def _largest(self) -> Tensor:
        return self.threshold.max()

    def _firing(self, rest: Tensor) -> Fire:
        keep_raised, keep_against = (1 - self.threshold_decay).double(), (1 - self.refractory_decay).double()
        raised = against = rest

        def fire(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            nonlocal raised, against
            raised = self._cut(keep_raised * raised.double()).float()
            against = self._cut(keep_against * against.double()).float()
            level, reached = self.threshold + raised, v - against
            s = (reached >= level).to(v.dtype)
            raised, against = raised + s * self.threshold_step, against + s * (level + level)
            return s, reached - level, v

        return fire


class FixedRecurrentAdaptiveLif(FixedAdaptiveLif):
    """:class:`FixedAdaptiveLif` neurons whose spikes come back: the input is ``x[t] + recurrent_weight @ s[t - 1]``.

    Args:
        recurrent_weight: Shape ``(post, pre)``; features are ``(post,)``.
        options: All arguments of :class:`FixedAdaptiveLif`.

    Raises:
        UsageError: As in :class:`FixedLif`; ``HSNN-U021``, if the weights are no square.
    """

    recurrent_weight: Tensor

    def __init__(self, recurrent_weight: Tensor, *, resolution: float, **options: Parameter) -> None:
        super().__init__(resolution=resolution, **options)
        self._add_feedback(recurrent_weight)

    @staticmethod
    def _op_name() -> str:
        return "FixedRecurrentAdaptiveLif"

    def _feedback(self, sent: Tensor) -> Tensor:
        return sent @ self.recurrent_weight.t()
