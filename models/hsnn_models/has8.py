"""HAS-8: layer-wise hybrids. Every block runs a spiking and an ordinary branch side by side, ``snn(x) + ann(x)``.

::

    x (C, H, W) -+-> bit planes -> chip: convolutions, neurons -> weighted sum -+
                 |                                                              + -> next block
                 '-> host: convolutions, batch norm, ReLU ----------------------'

The spiking branch of a block encodes its input as eight bit planes, one a timestep, and decodes what its neurons
send. :mod:`hsnn_models.has8_blocks` has the blocks.

Two presets say how planes are coded (:func:`hsnn.nn.has8`, :func:`hsnn.nn.matched`). In ``has8``, as published,
each block rescales over its whole batch: what the model says of one image depends on the others.

Source: Luu, Luu, Nam and Thang, arXiv 2509.24411, and its code luutn2002/has-8 @ faa28fc. The published sizes
are ``Has8ResNet(inputs=3, stem=64, base=32 or 64)`` and ``Has8Vgg(inputs=3, base=48 or 72, depth=4)``.
"""

from __future__ import annotations

from collections.abc import Sequence

from hsnn.libraries import named_if_missing

with named_if_missing():
    from torch import Tensor, nn

    from hsnn_models.has8_blocks import Blocks, Branches, Preset

SURE = 16.0
"""Logit of an output neuron of a plain spiking network that always fires: 1 would leave any classifier unsure."""


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
