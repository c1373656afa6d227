"""What weights a synapse of slayer uses when it is called, whatever is cached in it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def norm_hook(synapse: Any) -> Any:
    """Return torch's weight norm of the older kind, which sets ``weight`` at every call; None if there is none."""
    hooks = synapse._forward_pre_hooks.values()
    return next(
        (hook for hook in hooks if hasattr(hook, "compute_weight") and getattr(hook, "name", "") == "weight"), None
    )


def effective_weight(synapse: Any, mask: Tensor | None = None) -> Tensor:
    """Return the weights of a call: weight norm resolved, masked where slayer's mask has an effect, hook applied.

    ``synapse.weight`` may be stale under weight norm: it is that of the last call. slayer multiplies its mask into
    ``weight``, which weight norm then computes anew, so the mask has no effect there.

    Args:
        synapse: A synapse.
        mask: Mask of its block, or None.
    """
    hook = norm_hook(synapse)
    with torch.no_grad():
        weight = synapse.weight if hook is None else hook.compute_weight(synapse)
        if mask is not None and "weight" in synapse._parameters:
            weight = weight * mask
        quantized = weight if synapse._pre_hook_fx is None else synapse._pre_hook_fx(weight)
    result: Tensor = quantized.detach().clone()
    return result
