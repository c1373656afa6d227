"""The blocks of HAS-8: a spiking and an ordinary branch side by side, and the networks that are made of them.

Neurons are leaky integrators with decaying input, ``v += (x - v) / 2``, that fire at ``v >= 1`` and start again
from 0.

Source: Luu, Luu, Nam and Thang, arXiv 2509.24411, and its code luutn2002/has-8 @ faa28fc.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from hsnn.errors import UsageError
from hsnn.nn import BitPlaneEncode, Lif, TimeDistributed, WeightedSumDecode, has8, matched

Preset: TypeAlias = Literal["has8", "matched"]
Branches: TypeAlias = Literal["both", "ann", "snn", "plain"]

GRADIENTS: Mapping[str, str] = {"has8": "fourier_sine", "matched": "straight_through"}
"""Gradient of the encoders in each preset."""
LEAK = 0.5
"""Fraction of the voltage lost per timestep: 1 / tau with tau = 2."""
IMAGE_HIGH = 1.0
"""Largest value of an image."""


class SpikingBranch(nn.Module):
    """Encoder, spiking layers, decoder.

    Args:
        layers: Takes and returns a spike train.
        encode: The encoder.
        decode: The decoder.
    """

    def __init__(self, layers: nn.Module, encode: BitPlaneEncode, decode: WeightedSumDecode) -> None:
        super().__init__()
        self.encode = encode
        self.layers = layers
        self.decode = decode

    def forward(self, x: Tensor) -> Tensor:
        """Return the decoded spikes, ``(batch, *made)``, for features ``(batch, *feature)``."""
        decoded: Tensor = self.decode(self.layers(self.encode(x)))
        return decoded


class Fusion(nn.Module):
    """The sum of a spiking and an ordinary branch, or one of them alone.

    Args:
        snn: The spiking branch, or None.
        ann: The ordinary branch, or None.
    """

    def __init__(self, snn: SpikingBranch | None, ann: nn.Module | None) -> None:
        super().__init__()
        self.snn, self.ann = snn, ann

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both branches, ``(batch, *made)``, for features ``(batch, *feature)``."""
        parts = [branch(x) for branch in (self.snn, self.ann) if branch is not None]
        total: Tensor = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        return total


@dataclass(frozen=True, slots=True)
class Block:
    """Two branches of the same shape.

    Attributes:
        spiking: Takes and returns a spike train.
        ordinary: Takes and returns features.
        high: Value that ``matched`` encodes as all ones before the block; None where the block has no branch of
            its own, and the ordinary layer serves both.
    """

    spiking: nn.Module
    ordinary: nn.Module
    high: float | None


class Blocks:
    """Makes blocks of one coding, and the network of them.

    Args:
        preset: ``has8`` or ``matched``.
        branches: ``both``, or one of each block alone, or ``plain``: the spiking branches in one spiking network,
            encoded once and decoded once. All but the first are twins of the hybrid to compare it with.
        high: Value that ``matched`` encodes as all ones; larger ones are clipped.
        gradient: Gradient of the encoders; that of the preset if None.

    Raises:
        UsageError: ``HSNN-U210``, if preset or branches are none of these.
    """

    def __init__(
        self,
        preset: Preset,
        *,
        branches: Branches = "both",
        high: float = 4.0,
        gradient: str | None = None,
    ) -> None:
        known(preset, get_args(Preset), "preset")
        known(branches, get_args(Branches), "value of branches")
        self.preset, self.branches, self.high, self.gradient = preset, branches, high, gradient

    def initial(self, inputs: int, outputs: int, *, stride: int) -> Block:
        """Convolution 7 by 7 and pooling 3 by 3, which halves the image; ``stride`` 2 halves it once more."""
        spiking = nn.Sequential(
            _synapses(inputs, outputs, kernel=7, stride=stride),
            spiking_neurons(),
            TimeDistributed(nn.AvgPool2d(3, 2, 1)),
        )
        ordinary = nn.Sequential(
            *_convolution(inputs, outputs, kernel=7, stride=stride), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        return Block(spiking, ordinary, IMAGE_HIGH)

    def residual(self, inputs: int, outputs: int, *, stride: int) -> Block:
        """Basic residual block: two convolutions 3 by 3 and a shortcut."""
        spiking, ordinary = (kind(inputs, outputs, stride=stride) for kind in (SpikingResidual, Residual))
        return Block(spiking, ordinary, self.high)

    def convolution(self, inputs: int, outputs: int, *, image: bool = False) -> Block:
        """VGG block: convolution 3 by 3 and average pooling 2 by 2; ``image`` says that its input is one."""
        spiking = nn.Sequential(_synapses(inputs, outputs), spiking_neurons(), TimeDistributed(nn.AvgPool2d(2, 2)))
        ordinary = nn.Sequential(*_convolution(inputs, outputs), nn.LeakyReLU(), nn.AvgPool2d(2, 2))
        return Block(spiking, ordinary, IMAGE_HIGH if image else self.high)

    def linear(self, inputs: int, hidden: Sequence[int], outputs: int) -> Block:
        """Linear layers with neurons, or leaky ReLU, behind each."""
        spiking: list[nn.Module] = []
        ordinary: list[nn.Module] = []
        widths = (inputs, *hidden, outputs)
        for before, after in pairwise(widths):
            spiking += [nn.Linear(before, after), spiking_neurons()]
            ordinary += [nn.Linear(before, after), nn.LeakyReLU()]
        return Block(nn.Sequential(*spiking), nn.Sequential(*ordinary), self.high)

    def pooling(self) -> Block:
        """Average pooling over the whole image, which both branches share."""
        spiking, ordinary = (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()) for _ in range(2))
        return Block(TimeDistributed(spiking), ordinary, None)

    def join(self, blocks: Sequence[Block], *, gain: float = 1.0) -> nn.Module:
        """Return the network of the blocks; ``gain`` scales what a plain spiking one decodes."""
        if self.branches == "plain":
            encode, decode = self._coding(IMAGE_HIGH)
            decode = WeightedSumDecode(decode.weights, divisor=decode.divisor / gain)
            return SpikingBranch(nn.Sequential(*(block.spiking for block in blocks)), encode, decode)
        return nn.Sequential(*map(self._fuse, blocks))

    def _fuse(self, block: Block) -> nn.Module:
        if block.high is None:
            return block.ordinary
        return Fusion(
            None if self.branches == "ann" else SpikingBranch(block.spiking, *self._coding(block.high)),
            None if self.branches == "snn" else block.ordinary,
        )

    def _coding(self, high: float) -> tuple[BitPlaneEncode, WeightedSumDecode]:
        gradient = self.gradient or GRADIENTS[self.preset]
        return has8(gradient=gradient) if self.preset == "has8" else matched(high=high, gradient=gradient)


class SpikingResidual(nn.Module):
    """Two spiking convolutions and a shortcut, their spikes added: a "spike-element-wise" residual.

    The sum may be 2, and with ``has8`` the shortcut carries the real-valued plane 0.

    Args:
        inputs: Channels that enter.
        outputs: Channels that leave.
        stride: Of the first convolution and the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.synapses1 = _synapses(inputs, outputs, stride=stride)
        self.neurons1 = spiking_neurons()
        self.synapses2 = _synapses(outputs, outputs)
        self.neurons2 = spiking_neurons()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(_synapses(inputs, outputs, kernel=1, stride=stride), spiking_neurons())

    def forward(self, spikes: Tensor) -> Tensor:
        """Return the sum, ``(timestep, batch, outputs, H / stride, W / stride)``.

        Args:
            spikes: Shape ``(timestep, batch, inputs, H, W)``.
        """
        main = self.neurons2(self.synapses2(self.neurons1(self.synapses1(spikes))))
        total: Tensor = self.shortcut(spikes) + main
        return total


class Residual(nn.Module):
    """The ordinary basic residual block: two convolutions, batch norm, ReLU, a shortcut.

    Args:
        inputs: Channels that enter.
        outputs: Channels that leave.
        stride: Of the first convolution and the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *_convolution(inputs, outputs, stride=stride),
            nn.ReLU(),
            *_convolution(outputs, outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(*_convolution(inputs, outputs, kernel=1, stride=stride))

    def forward(self, x: Tensor) -> Tensor:
        """Return features ``(batch, outputs, H / stride, W / stride)``, at least 0, for ``(batch, inputs, H, W)``."""
        return torch.relu(self.main(x) + self.shortcut(x))


def spiking_neurons() -> Lif:
    """Return neurons as published: ``v += (x - v) / 2``, a spike at ``v >= 1``, then ``v = 0``."""
    return Lif(
        1.0,
        current_decay=1.0,
        voltage_decay=LEAK,
        decay_input=True,
        reset="zero",
        comparison=">=",
        detach_reset=False,
    )


def _synapses(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> TimeDistributed:
    return TimeDistributed(nn.Sequential(*_convolution(inputs, outputs, kernel=kernel, stride=stride)))


def _convolution(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    layer = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return layer, nn.BatchNorm2d(outputs)


def known(value: str, allowed: Sequence[str], what: str) -> None:
    """Raise UsageError ``HSNN-U210`` if a value is none of those allowed."""
    if value not in allowed:
        raise UsageError(
            "HSNN-U210", f"there is no {what} {value!r} of HAS-8", allowed=", ".join(allowed), fix="choose one of them"
        )
