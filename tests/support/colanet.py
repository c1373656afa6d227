"""Choices with which CoLaNET learns the 8 x 8 digits."""

from __future__ import annotations

from hsnn_models.colanet.parameters import Parameters


def digit_parameters(*, copies, microcolumns, leak=0.0):
    return Parameters(
        copies=copies,
        microcolumns=microcolumns,
        threshold=3.0,
        threshold_excess=0.01,
        dopamine=0.08,
        anti_hebbian=-0.065,
        noise=0.1,
        silent_synapses=2.0,
        stability_rate=0.05,
        weight_min=-0.253,
        weight_max=0.0924,
        leak=leak,
    )
