"""Random hybrids around the neurons of another library: ordinary layers, residuals, norms, pools, any use of time.

A kit (``random_snntorch.py`` and its like) draws the neurons; this module draws everything around them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

CHANNELS, SIDE, FEATURES, SAMPLES = 3, 6, 6, 4
Shape = tuple[int, ...]
States = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Drawn:
    """A neuron of a library, and how it is used.

    Attributes:
        module: The neuron.
        call: Runs it: gets module, input and state, returns output and state.
        read: What the library holds after a call; gets module and output. Of a train, time first.
        expect: The same from what the hybrid ONNX model holds over time (``u``, ``v_in`` before the reset, ``v``
            behind it, ``s``), each ``(timestep, batch, *feature)``.
        spikes: Whether it sends spikes.
    """

    module: nn.Module
    call: Callable[[Any, Tensor, Any], tuple[Tensor, Any]]
    read: Callable[[Any, Any], States]
    expect: Callable[[States], States]
    spikes: bool = True


class Kit(Protocol):
    """Neurons of a library."""

    modes: tuple[str, ...]
    """How its neurons see time: ``step``, ``time_first``, ``batch_first`` or ``merged``."""

    kinds: dict[str, tuple[str, ...]]
    """What it draws in each mode, for one feature axis."""
    refused: dict[str, tuple[str, Callable[[], nn.Module]]]
    """Neurons that cannot be mapped, by what is wrong with them; with the code of the error."""

    def neuron(
        self, pick: random.Random, shape: Shape, *, mode: str, timesteps: int, last: bool, kind: str = ""
    ) -> Drawn:
        """Draw a neuron for features of a shape, every field other than its default."""

    def layers(self, pick: random.Random, synapse: nn.Module, *, mode: str) -> nn.Module | None:
        """Return a synapse in the library's own way of going over time; None to do it with reshapes."""


class RandomHybrid(nn.Module):
    """A stem, one to three layers of neurons with synapses, skips and pools, a reduction over time, a head.

    Args:
        seed: Seed of every choice and weight.
        kit: Where the neurons come from.
        mode: How neurons see time, if that is not to be drawn.
        kinds: Neurons one after the other, all dense, if that is not to be drawn.
    """

    def __init__(self, seed: int, kit: Kit, *, mode: str = "", kinds: tuple[str, ...] = ()) -> None:
        super().__init__()
        torch.manual_seed(seed)
        pick = self.pick = random.Random(seed)
        self.mode = mode or pick.choice(kit.modes)
        self.timesteps = pick.choice((3, 4))
        self.is_train = pick.random() < 0.35
        self.image = pick.random() < 0.6 and not kinds
        self.sample_shape: Shape = (2, SIDE, SIDE) if self.image else (4,)
        self.stem = self._stem()
        self.synapses, self.neurons, self.pools = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.skips: list[str] = []
        self.drawn: list[Drawn] = []
        shape: Shape = (CHANNELS, SIDE, SIDE) if self.image else (FEATURES,)
        count = len(kinds) or pick.choice((1, 2, 2, 3))
        for index in range(count):
            shape = self._block(kit, shape, last=index == count - 1, kind=kinds[index] if kinds else "")
        self.reduction = pick.choice(("mean", "sum", "max", "last", "train"))
        flat = int(torch.tensor(shape).prod())
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(flat, 4), nn.Softmax(dim=1)) if pick.random() < 0.6 else None

    def _stem(self) -> nn.Module:
        if not self.image:
            return nn.Sequential(nn.Linear(4, FEATURES), nn.LayerNorm(FEATURES), nn.GELU())
        norm = nn.BatchNorm2d(CHANNELS)
        norm.running_mean.uniform_(-0.3, 0.3)
        norm.running_var.uniform_(0.2, 0.8)
        return nn.Sequential(nn.Conv2d(2, CHANNELS, 3, padding=1), norm, nn.ReLU())

    def _block(self, kit: Kit, shape: Shape, *, last: bool, kind: str) -> Shape:
        """Add synapses, neurons and what follows them; return the shape that they give."""
        synapse, after = self._synapse(shape)
        lively(synapse)
        wrapped = None if self.mode == "step" else kit.layers(self.pick, synapse, mode=self.mode)
        self.synapses.append(Reshaped(synapse, self.mode, self.timesteps) if wrapped is None else wrapped)
        drawn = kit.neuron(self.pick, after, mode=self.mode, timesteps=self.timesteps, last=last, kind=kind)
        self.drawn.append(drawn)
        self.neurons.append(drawn.module)
        skip = self.pick.choice(("", "add", "cat")) if after == shape else ""
        self.skips.append(skip)
        after = (2 * after[0], *after[1:]) if skip == "cat" else after
        pool: nn.Module = nn.Identity()
        if len(after) == 3 and after[1] > 1 and self.pick.random() < 0.4:
            pool = self.pick.choice((nn.AvgPool2d(2), nn.MaxPool2d(2)))
            after = (after[0], after[1] // 2, after[2] // 2)
        self.pools.append(Reshaped(pool, self.mode, self.timesteps))
        return after

    def _synapse(self, shape: Shape) -> tuple[nn.Sequential, Shape]:
        pick = self.pick
        if len(shape) == 3 and pick.random() < 0.7:
            stride = pick.choice((1, 1, 2)) if shape[1] > 2 else 1
            groups = pick.choice((1, shape[0]))
            layers: list[nn.Module] = [
                nn.Conv2d(shape[0], shape[0], 3, padding=1, stride=stride, groups=groups, bias=pick.random() < 0.5)
            ]
            if pick.random() < 0.5:
                layers.append(nn.BatchNorm2d(shape[0]))
            side = (shape[1] + stride - 1) // stride
            return nn.Sequential(*layers), (shape[0], side, side)
        flat = int(torch.tensor(shape).prod())
        after = shape[0] if len(shape) == 1 and pick.random() < 0.5 else 5
        flatten = (nn.Flatten(),) if len(shape) == 3 else ()
        return nn.Sequential(*flatten, nn.Linear(flat, after, bias=pick.random() < 0.5), nn.Dropout(0.4)), (after,)

    def inputs(self) -> Tensor:
        """Return samples: images or vectors, or trains of them."""
        shape = (self.timesteps, *self.sample_shape) if self.is_train else self.sample_shape
        return torch.rand(SAMPLES, *shape) if not self.is_train else (torch.rand(SAMPLES, *shape) > 0.5).float()

    def forward(self, x: Tensor) -> Tensor:
        """Return class scores, or what the last neurons sent."""
        out = self._loop(x) if self.mode == "step" else self._whole(x)
        return self.head(out) if self.head is not None and self.reduction != "train" else out

    def _loop(self, x: Tensor) -> Tensor:
        states: list[Any] = [None] * len(self.drawn)
        static = None if self.is_train else self.stem(x)
        sent = []
        for step in range(self.timesteps):
            value = self.stem(x[:, step]) if static is None else static
            for index, drawn in enumerate(self.drawn):
                out, states[index] = drawn.call(self.neurons[index], self.synapses[index](value), states[index])
                value = self.pools[index](self._joined(value, out, index))
            sent.append(value)
        if self.reduction == "last":
            return sent[-1]
        if self.reduction == "sum":
            return sum(sent)
        return self._reduced(torch.stack(sent), 0)

    def _whole(self, x: Tensor) -> Tensor:
        time = 0 if self.mode == "time_first" else 1
        value = x
        if not self.is_train:
            value = self.stem(x).unsqueeze(time)
            value = value.repeat(*(self.timesteps if axis == time else 1 for axis in range(value.ndim)))
        elif time == 0:
            value = value.transpose(0, 1)
        if self.mode == "merged":
            value = value.flatten(0, 1)
        if self.is_train:
            value = Reshaped.over(self.stem, value, self.mode, self.timesteps)
        for index, drawn in enumerate(self.drawn):
            out, _ = drawn.call(self.neurons[index], self.synapses[index](value), None)
            value = self.pools[index](self._joined(value, out, index))
        if self.mode == "merged":
            value = value.unflatten(0, (-1, self.timesteps))
        if self.reduction == "last":
            return value[-1] if time == 0 else value[:, -1]
        return self._reduced(value, time)

    def _joined(self, before: Tensor, sent: Tensor, index: int) -> Tensor:
        if not self.skips[index]:
            return sent
        if self.skips[index] == "add":
            return sent + before
        axis = 1 if self.mode in ("step", "merged") else 2
        return torch.cat((sent, before), axis)

    def _reduced(self, value: Tensor, time: int) -> Tensor:
        if self.reduction == "train":
            return value
        return {"mean": value.mean, "sum": value.sum, "max": value.amax}[self.reduction](time)


class Reshaped(nn.Module):
    """A layer applied to every timestep, by reshapes."""

    def __init__(self, layer: nn.Module, mode: str, timesteps: int) -> None:
        super().__init__()
        self.layer, self.mode, self.timesteps = layer, mode, timesteps

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's values, axes in front as they were."""
        return self.over(self.layer, x, self.mode, self.timesteps)

    @staticmethod
    def over(layer: nn.Module, x: Tensor, mode: str, timesteps: int) -> Tensor:
        """Apply a layer to every timestep."""
        if mode in ("step", "merged"):
            return layer(x)
        sizes = (timesteps, -1) if mode == "time_first" else (-1, timesteps)
        return layer(x.flatten(0, 1)).unflatten(0, sizes)


def lively(module: nn.Module) -> None:
    """Make synapses strong enough for neurons to fire; norms are given statistics of their own."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                part.weight.mul_(2.0).add_(0.25 * part.weight.abs().mean())
            elif isinstance(part, nn.BatchNorm2d):
                part.running_mean.uniform_(-0.2, 0.2)
                part.running_var.uniform_(0.3, 1.0)
                part.weight.uniform_(0.6, 1.4)
                part.bias.uniform_(-0.1, 0.3)


def spread(pick: random.Random, shape: Shape, low: float, high: float) -> Tensor:
    """Return a parameter that differs over channels, over neurons, or is one for all."""
    sizes = pick.choice(((shape[0], *(1,) * (len(shape) - 1)), shape, ()))
    return low + (high - low) * torch.rand(sizes)
