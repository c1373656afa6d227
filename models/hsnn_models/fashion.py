"""``fashion``: a convolutional hybrid classifier of 28 by 28 pictures of clothes.

::

    image (1, 28, 28)
      |  host: 2 x (convolution, batch norm, ReLU)
    rate code (12, 14, 14)
      |  chip: a = Lif(conv);  b = Lif(conv(a));  Lif(conv(a + b))       a residual between spike trains
    rate (24, 7, 7)
      |  host: convolution, batch norm, ReLU -------------.
    rate code (24, 7, 7)                                  |
      |  chip: Lif(conv), Lif(grouped conv)               |  a skip around the segment
    rate (24, 7, 7)                                       |
      |  host: + <----------------------------------------'
    Linear -> logits
"""

from __future__ import annotations

from typing import Final

from hsnn.libraries import named_if_missing
from hsnn.nn import Lif, RateDecode, RateEncode, TimeDistributed
from hsnn_models.weights import load_packed

with named_if_missing():
    import torch
    from torch import nn

TIMESTEPS: Final = 8
CLASSES: Final = 10
STEM: Final = 12
WIDE: Final = 24


class ResidualSpikes(nn.Module):
    """Three spiking convolutions, the spikes of the first added to those of the second."""

    def __init__(self) -> None:
        super().__init__()
        self.synapses1 = synapses(STEM, WIDE, stride=2)
        self.neurons1 = Lif(current_decay=1.0, voltage_decay=0.25)
        self.synapses2 = synapses(WIDE, WIDE)
        self.neurons2 = Lif(current_decay=1.0, voltage_decay=0.25)
        self.synapses3 = synapses(WIDE, WIDE)
        self.neurons3 = Lif(current_decay=1.0, voltage_decay=0.25)

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        """Return spikes of shape ``(timestep, batch, 24, 7, 7)`` for ``(timestep, batch, 12, 14, 14)``."""
        first = self.neurons1(self.synapses1(spikes))
        second = self.neurons2(self.synapses2(first))
        third: torch.Tensor = self.neurons3(self.synapses3(first + second))
        return third


class PlainSpikes(nn.Module):
    """Two spiking convolutions, the second grouped and with a current that outlasts its spike."""

    def __init__(self) -> None:
        super().__init__()
        self.synapses1 = synapses(WIDE, WIDE)
        self.neurons1 = Lif(current_decay=1.0, voltage_decay=0.25)
        self.synapses2 = TimeDistributed(nn.Conv2d(WIDE, WIDE, 3, padding=1, groups=4, bias=False))
        # No batch norm here: the weights start small, so does the threshold.
        self.neurons2 = Lif(0.25, current_decay=0.5, voltage_decay=0.25, bias=torch.zeros(WIDE, 1, 1), learn_bias=True)

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        """Return spikes of the shape of ``spikes``, ``(timestep, batch, 24, 7, 7)``."""
        hidden = self.neurons1(self.synapses1(spikes))
        out: torch.Tensor = self.neurons2(self.synapses2(hidden))
        return out


class Fashion(nn.Module):
    """Convolutional hybrid network; takes images ``(batch, 1, 28, 28)`` in [0, 1], returns ``(batch, 10)`` logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*convolution(1, STEM), *convolution(STEM, STEM, stride=2))
        self.encode1 = RateEncode(TIMESTEPS, scale=4.0, initial=0.5)
        self.segment1 = ResidualSpikes()
        self.decode1 = RateDecode()
        self.middle = nn.Sequential(*convolution(WIDE, WIDE))
        self.encode2 = RateEncode(TIMESTEPS, scale=2.0, initial=0.5)
        self.segment2 = PlainSpikes()
        self.decode2 = RateDecode()
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(WIDE * 7 * 7, CLASSES))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits ``(batch, 10)`` of images ``(batch, 1, 28, 28)`` in [0, 1]."""
        features = self.decode1(self.segment1(self.encode1(self.stem(images))))
        middle = self.middle(features)
        logits: torch.Tensor = self.head(middle + self.decode2(self.segment2(self.encode2(middle))))
        return logits


def synapses(inputs: int, outputs: int, *, stride: int = 1) -> TimeDistributed:
    """Return a 3 by 3 convolution with batch norm, applied at every timestep."""
    return TimeDistributed(
        nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(outputs))
    )


def convolution(inputs: int, outputs: int, *, stride: int = 1) -> tuple[nn.Module, ...]:
    """Return a 3 by 3 convolution, batch norm and ReLU."""
    layer = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return layer, nn.BatchNorm2d(outputs), nn.ReLU()


def fashion(*, trained: bool = False) -> Fashion:
    """Return the model in evaluation mode.

    Args:
        trained: Load the weights that come with hsnn_models; else they are random.

    Raises:
        UsageError: If the packed weights are missing or do not fit.
    """
    return load_packed(Fashion(), "fashion") if trained else Fashion().eval()
