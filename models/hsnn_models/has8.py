"""HAS-8: layer-wise hybrids. Every block runs a spiking and an ordinary branch side by side, ``snn(x) + ann(x)``.

::

    x (C, H, W) -+-> bit planes -> chip: convolutions, neurons -> weighted sum -+
                 |                                                              + -> next block
                 '-> host: convolutions, batch norm, ReLU ----------------------'

The spiking branch of a block encodes its input as eight bit planes, one a timestep, and decodes what its neurons
send. Neurons are leaky integrators with decaying input, ``v += (x - v) / 2``, that fire at ``v >= 1`` and start
again from 0.

Two presets say how planes are coded (:func:`hsnn.nn.has8`, :func:`hsnn.nn.matched`). In ``has8``, as published,
each block rescales over its whole batch: what the model says of one image depends on the others.

Source: Luu, Luu, Nam and Thang, arXiv 2509.24411, and its code luutn2002/has-8 @ faa28fc. The published sizes
are ``Has8ResNet(inputs=3, stem=64, base=32 or 64)`` and ``Has8Vgg(inputs=3, base=48 or 72, depth=4)``.
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
SURE = 16.0
"""Logit of an output neuron of a plain spiking network that always fires: 1 would leave any classifier unsure."""


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
        """Return the decoded spikes for features ``(batch, *feature)``."""
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
        """Return the sum of both branches."""
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
        """Return the sum, shape ``(timestep, batch, outputs, H / stride, W / stride)``."""
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
        """Return features of shape ``(batch, outputs, H / stride, W / stride)``."""
        return torch.relu(self.main(x) + self.shortcut(x))


class Has8ResNet(nn.Module):
    """Residual network: an initial block, stages of residual blocks, one linear layer.

    Args:
        preset: ``has8`` or ``matched``.
        inputs: Channels of the images, whose values lie in [0, 1].
        classes: Number of logits.
        stem: Channels of the initial block.
        base: Channels of the first stage; each further stage has twice as many, on half the image.
        depth: Residual blocks of each stage.
        stem_stride: Stride of the first convolution; 2 as published, 1 for images of about 28 pixels.
        branches: ``both``, or ``ann``, ``snn`` or ``plain``: see :class:`Blocks`.
        high: Value that ``matched`` encodes as all ones.
        gradient: Gradient of the encoders; that of the preset if None.

    Raises:
        UsageError: ``HSNN-U210``, if preset or branches are unknown.
    """

    def __init__(
        self,
        preset: Preset,
        *,
        inputs: int = 1,
        classes: int = 10,
        stem: int = 64,
        base: int = 32,
        depth: Sequence[int] = (2, 2, 2, 2),
        stem_stride: int = 2,
        branches: Branches = "both",
        high: float = 6.0,
        gradient: str | None = None,
    ) -> None:
        super().__init__()
        make = Blocks(preset, branches=branches, high=high, gradient=gradient)
        blocks, width = [make.initial(inputs, stem, stride=stem_stride)], stem
        for stage, count in enumerate(depth):
            for index in range(count):
                outputs = base * 2**stage
                blocks.append(make.residual(width, outputs, stride=2 if stage and not index else 1))
                width = outputs
        self.blocks = make.join(blocks)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(batch, classes)`` of images ``(batch, inputs, H, W)``."""
        logits: Tensor = self.head(self.blocks(images))
        return logits


class Has8Vgg(nn.Module):
    """VGG: blocks that each halve the image, pooling over what is left, and a linear block whose outputs are logits.

    Args:
        preset: ``has8`` or ``matched``.
        inputs: Channels of the images, whose values lie in [0, 1].
        classes: Number of logits.
        base: Channels of the first block; each further block has twice as many.
        depth: Blocks behind the first, at least 0.
        hidden: Widths of the hidden layers of the linear block.
        branches: ``both``, or ``ann``, ``snn`` or ``plain``: see :class:`Blocks`.
        high: Value that ``matched`` encodes as all ones.
        gradient: Gradient of the encoders; that of the preset if None.

    Raises:
        UsageError: ``HSNN-U210``, if preset or branches are unknown.
    """

    def __init__(
        self,
        preset: Preset,
        *,
        inputs: int = 1,
        classes: int = 10,
        base: int = 48,
        depth: int = 4,
        hidden: Sequence[int] = (1024, 512),
        branches: Branches = "both",
        high: float = 4.0,
        gradient: str | None = None,
    ) -> None:
        super().__init__()
        make = Blocks(preset, branches=branches, high=high, gradient=gradient)
        blocks = [make.convolution(inputs, base, image=True)]
        blocks += [make.convolution(base * 2**index, base * 2 ** (index + 1)) for index in range(depth)]
        blocks += [make.pooling(), make.linear(base * 2**depth, hidden, classes)]
        self.blocks = make.join(blocks, gain=SURE)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(batch, classes)`` of images ``(batch, inputs, H, W)``."""
        logits: Tensor = self.blocks(images)
        return logits


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
        raise UsageError("HSNN-U210", f"there is no {what} {value!r} of HAS-8", allowed=", ".join(allowed))
