"""What is known of a neuron of another library: the hsnn layers that compute the same, and how it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from hsnn.errors import HsnnError, UnsupportedError, UsageError
from hsnn.nn.integrator import LeakyIntegrator
from hsnn.nn.symbolic import OpLayer

Layout: TypeAlias = Literal["step", "time_first", "batch_first", "merged_batch_first", "time_last"]
"""Axes that a neuron takes: ``(batch, *feature)`` at every timestep; ``(timestep, batch, *feature)``;
``(batch, timestep, *feature)``; ``(batch * timestep, *feature)``; or ``(batch, *feature, timestep)``."""
Emit: TypeAlias = Callable[[Tensor, Iterable[Tensor]], list[Tensor]]
"""Takes the input and the state that was passed in; returns one tensor for each output of the neuron."""
Protocol: TypeAlias = Callable[[nn.Module, Emit], Callable[..., Any]]
"""Makes the ``forward`` that stands in for the library's while the model is traced."""


def _one_tensor(module: nn.Module, emit: Emit) -> Callable[..., Any]:
    def forward(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args or kwargs:
            raise UsageError(
                "HSNN-F096",
                f"a {type(module).__name__} is called with {1 + len(args) + len(kwargs)} arguments, and what is "
                "registered for it is a layer alone",
                allowed="one tensor for each timestep, and one in return",
                fix="return a hsnn.frontends.live.LiveNeuron with a protocol that says how it is called, as "
                "docs/interop.md shows under 'Neurons of your own'",
            )
        return emit(x, ())[0]

    return forward


@dataclass(frozen=True, slots=True, eq=False)
class StateReadout:
    """A state of spiking neurons to which spikes add what does not depend on it, read out beside them.

    An integrator of its own computes it, from the neurons' input ``x`` and from the spikes ``s`` that they send::

        state = integrator(x[t] + moves[0] * s[t] + moves[1] * s[t - 1] + ...)

    A voltage behind a reset by subtraction is one: ``moves[0]`` is the threshold, negative. So is one in front of it,
    if the threshold is taken off behind the decay of the next timestep: that is ``moves[1]``. A reset to zero makes
    none: it takes the state itself away.

    Attributes:
        integrator: Computes the state of neurons that never spike.
        moves: For each delay in timesteps, what a spike adds to the input: a factor that broadcasts to the feature
            shape; for neurons that are ``flat``, a matrix of shape ``(neuron, spiking neuron)``.
    """

    integrator: LeakyIntegrator
    moves: Mapping[int, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class LiveNeuron:
    """A neuron of another library in terms of hsnn layers.

    Attributes:
        outputs: What computes each output of the neuron from the same input, the spikes first; ``None`` for a state
            that hsnn cannot read out.
        layout: Axes of its input and outputs.
        states: For each state that a call takes, the output of the call before that it has to be.
        keeps_state: Whether a call without state goes on from the call before; else it starts from zero.
        gain, shift: The layers see ``gain * x + shift``; broadcast to the feature shape.
        out_gain, out_shift: The first output is ``out_gain * y + out_shift``.
        timesteps: Timesteps, for ``merged_batch_first``.
        protocol: How the neuron is called; the default takes and returns one tensor.
        probe: Path of the part of it whose calls show what it sends; itself if empty.
        pairs: Whether two channels of the input belong to one of the output, as of resonators.
        flat: Whether the layers see all features on one axis, as ``RecurrentLif`` does.
        sized: Returns the neuron for a feature shape, where its layers depend on that; ``outputs`` then has nothing
            but ``None``, and the rest is the same for every shape.
    """

    outputs: tuple[OpLayer | StateReadout | None, ...]
    layout: Layout = "step"
    states: tuple[int, ...] = ()
    keeps_state: bool = True
    gain: Tensor | None = None
    shift: Tensor | None = None
    out_gain: Tensor | None = None
    out_shift: Tensor | None = None
    timesteps: int | None = None
    protocol: Protocol = _one_tensor
    probe: str = ""
    pairs: bool = False
    flat: bool = False
    sized: Callable[[tuple[int, ...]], LiveNeuron] | None = None


def title(path: str, module: nn.Module) -> str:
    """Return path and class of a module for a message."""
    name = f"{type(module).__module__.split('.')[0]}'s {type(module).__name__}"
    return f"{path!r} ({name})" if path else name


def inexpressible(what: str, *, allowed: str = "", fix: str = "") -> UnsupportedError:
    """Return the error for an option of a neuron that hsnn has no equation for; the caller adds the module."""
    return UnsupportedError(
        "HSNN-F091",
        what,
        allowed=allowed,
        fix=fix or "choose another option, or register layers that compute the same with hsnn.register_neuron",
    )


def about(error: HsnnError, named: str) -> HsnnError:
    """Return an error of a converter with the module that it is about."""
    return type(error)(error.code, f"{named}: {error.found}", allowed=error.allowed, fix=error.fix)


def tensor(value: Any) -> Tensor:
    """Return a number or tensor as float32, apart from any graph."""
    return torch.as_tensor(value).detach().to(torch.float32)


def is_zero(value: Any) -> bool:
    """Tell whether every element is 0."""
    return bool((tensor(value) == 0).all())


def comparison_of(fires: Callable[[Tensor], Tensor], threshold: Any) -> str:
    """Find out how a spike function compares with the threshold, by asking it.

    Args:
        fires: Maps the voltage less the threshold to spikes.
        threshold: Threshold; above 0.

    Returns:
        ``>`` or ``>=``.

    Raises:
        UnsupportedError: ``HSNN-F091``, if it is no step, or the threshold is not above 0.
    """
    if not bool((tensor(threshold) > 0).all()):
        raise inexpressible(f"its threshold is {tensor(threshold).min():g}", allowed="above 0 and above its reset")
    below = -torch.logspace(-6, 2, 25)
    try:
        with torch.no_grad():
            low, zero, high = fires(below), fires(torch.zeros(25)), fires(-below)
    except Exception as error:  # code of a library, or of the user
        raise inexpressible(
            f"its spike function fails: {type(error).__name__}: {error}", allowed="0 below the threshold and 1 above it"
        ) from error
    steps = not bool((low != 0).any()) and not bool((high != 1).any()) and not bool((zero != zero[0]).any())
    if not steps or float(zero[0]) not in (0, 1):
        raise inexpressible(
            "its spike function is no step: below, at and above the threshold it gives "
            f"{low.min():g} to {low.max():g}, {zero.min():g} and {high.min():g} to {high.max():g}",
            allowed="0 below the threshold and 1 above it",
        )
    return ">=" if float(zero[0]) == 1 else ">"
