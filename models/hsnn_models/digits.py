"""``digits``: a small hybrid classifier of 8 by 8 digits.

::

    image -> Linear, batch norm, ReLU -> rate code -> 2 x (Linear, Lif) -> rate -> Linear -> logits
             host                                     chip                         host
"""

from __future__ import annotations

from typing import Final

from hsnn.libraries import named_if_missing
from hsnn.nn import Lif, RateDecode, RateEncode
from hsnn_models.weights import load_packed

with named_if_missing():
    import torch
    from torch import nn

TIMESTEPS: Final = 16
STEM: Final = 64
HIDDEN: Final = (64, 48)
CLASSES: Final = 10


class Digits(nn.Module):
    """Dense hybrid network; takes images of shape ``(batch, 1, 8, 8)`` in [0, 1], returns ``(batch, 10)`` logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Flatten(), nn.Linear(64, STEM, bias=False), nn.BatchNorm1d(STEM), nn.ReLU())
        self.encode = RateEncode(TIMESTEPS, scale=4.0, initial=0.5)
        self.synapses1 = nn.Linear(STEM, HIDDEN[0])
        self.neurons1 = Lif(current_decay=1.0, voltage_decay=0.125)
        # A current that outlasts its spike, and a bias on the voltage instead of the current.
        self.synapses2 = nn.Linear(HIDDEN[0], HIDDEN[1], bias=False)
        self.neurons2 = Lif(current_decay=0.5, voltage_decay=0.25, bias=torch.zeros(HIDDEN[1]), learn_bias=True)
        self.decode = RateDecode()
        self.head = nn.Linear(HIDDEN[1], CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits ``(batch, 10)`` of images ``(batch, 1, 8, 8)`` in [0, 1]."""
        spikes = self.encode(self.stem(images))
        spikes = self.neurons1(self.synapses1(spikes))
        spikes = self.neurons2(self.synapses2(spikes))
        logits: torch.Tensor = self.head(self.decode(spikes))
        return logits


def digits(*, trained: bool = False) -> Digits:
    """Return the model in evaluation mode.

    Args:
        trained: Load the weights that come with hsnn_models; else they are random.

    Raises:
        UsageError: If the packed weights are missing or do not fit.
    """
    return load_packed(Digits(), "digits") if trained else Digits().eval()
