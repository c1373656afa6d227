"""What all neurons of lava-dl's slayer have: options, norm and decays, as hsnn's layers take them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hsnn.frontends.live.spec import inexpressible, tensor

PACKAGE = "lava.lib.dl.slayer"
NORM = f"{PACKAGE}.neuron.norm"
DECAY_ONE = 4096
CALL_ONCE = "call the model once on an input of that shape, as slayer's training does, and compile it then"


def check_common(module: Any, *, graded: bool = True) -> None:
    """Refuse what no neuron of slayer may do here; ``graded`` tells whether it has that option.

    Raises:
        UnsupportedError: ``HSNN-F091``.
    """
    if graded and module.graded_spike:
        raise inexpressible("it sends graded spikes, the voltage at each spike", allowed="graded_spike=False")
    if module.drop is not None and not isinstance(module.drop, nn.Module):
        raise inexpressible(f"its dropout is a function, {module.drop!r}", allowed="slayer.neuron.Dropout, or none")
    for name in ("w_scale", "s_scale"):
        value = int(getattr(module, name))
        if value < 1 or value & (value - 1):
            raise inexpressible(
                f"its {name} is {value}: states in steps of {1 / max(value, 1):g} are no numbers of float32",
                allowed="a power of two, such as the default scale of 64",
            )


def norm_of(module: Any, norm: Any) -> tuple[Tensor, Tensor]:
    """Return what a normalization of a neuron subtracts, one number or one for each channel, and what it divides by.

    Raises:
        UnsupportedError: ``HSNN-F091``, for another norm than slayer's own.
    """
    if norm is None:
        return torch.zeros(()), torch.ones(())
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(norm).__mro__}
    if not names & {f"{NORM}.MeanOnlyBatchNorm", f"{NORM}.WgtScaleBatchNorm"}:
        raise inexpressible(f"its norm is a {type(norm).__name__}", allowed="MeanOnlyBatchNorm, WgtScaleBatchNorm")
    with torch.no_grad():
        mean = tensor(norm.pre_hook_fx(norm.running_mean))
        divisor = tensor(norm.std(norm.running_var)) if f"{NORM}.WgtScaleBatchNorm" in names else torch.ones(())
    return per_channel(module, mean), divisor.reshape(())


def decay_of(module: Any, name: str, drawn: str) -> Tensor:
    """Return a decay as a fraction, rounded as slayer rounds it.

    Args:
        module: Neurons.
        name: Their parameter.
        drawn: Attribute that is there as long as the parameter has not been drawn.

    Raises:
        UnsupportedError: ``HSNN-F091``, if it has not been drawn.
    """
    if hasattr(module, drawn):
        raise inexpressible("its decays differ by channel and are drawn at its first call", fix=CALL_ONCE)
    # slayer multiplies states and decays as they are, so several decays belong to the last axis of the features.
    values = torch.round(tensor(getattr(module, name))) / DECAY_ONE
    return values.reshape(()) if values.numel() == 1 else values


def per_channel(module: Any, values: Tensor) -> Tensor:
    """Return values of shape () or one for each channel, so that they broadcast to the features.

    Raises:
        UnsupportedError: ``HSNN-F091``, if the number of axes is not known yet.
    """
    if values.numel() == 1:
        return values.reshape(())
    if module.shape is None:
        raise inexpressible("it has a value for each channel and does not know its shape yet", fix=CALL_ONCE)
    return values.reshape(-1, *(1,) * (len(module.shape) - 1))
