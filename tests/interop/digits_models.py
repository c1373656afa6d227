"""Hybrids for digits, each written the way its library's tutorials write one: ordinary layers, then its neurons."""

from __future__ import annotations

from collections.abc import Callable

import norse.torch as norse
import sinabs.layers as sl
import snntorch as snn
import torch
from norse.torch.functional.lif import LIFParameters
from slayer import slayer
from snntorch import surrogate as snn_surrogate
from snntorch import utils
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

TIMESTEPS, STEM, HIDDEN, CLASSES = 8, 8, 16, 10


def stem() -> nn.Sequential:
    """Return ordinary layers: they run once for an image, on the host."""
    return nn.Sequential(nn.Conv2d(1, STEM, 3, padding=1, bias=False), nn.BatchNorm2d(STEM), nn.ReLU())


class SnnTorch(nn.Module):
    """A loop over time with the state passed along, spikes collected in a list."""

    def __init__(self) -> None:
        super().__init__()
        gradient = snn_surrogate.fast_sigmoid(slope=25)
        self.stem = stem()
        self.conv = nn.Conv2d(STEM, HIDDEN, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(HIDDEN)
        self.lif1 = snn.Leaky(beta=0.9, spike_grad=gradient)
        self.fc = nn.Linear(HIDDEN * 16, CLASSES)
        self.lif2 = snn.Leaky(beta=0.9, spike_grad=gradient, reset_mechanism="zero")

    def forward(self, x: Tensor) -> Tensor:
        """Return how often each class spiked, ``(batch, class)``."""
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        features = self.stem(x)
        spk2_rec = []
        for _ in range(TIMESTEPS):
            spk1, mem1 = self.lif1(self.bn(self.conv(features)), mem1)
            spk2, mem2 = self.lif2(self.fc(spk1.flatten(1)), mem2)
            spk2_rec.append(spk2)
        return torch.stack(spk2_rec, dim=0).mean(0)


class SpikingJelly(nn.Module):
    """Multi-step layers on ``(timestep, batch, *feature)``; the firing rate at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = stem()
        self.conv_fc = nn.Sequential(
            layer.Conv2d(STEM, HIDDEN, 3, stride=2, padding=1, bias=False),
            layer.BatchNorm2d(HIDDEN),
            neuron.IFNode(surrogate_function=surrogate.ATan()),
            layer.Flatten(),
            layer.Dropout(0.2),
            layer.Linear(HIDDEN * 16, CLASSES, bias=False),
            neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan()),
        )
        functional.set_step_mode(self.conv_fc, step_mode="m")

    def forward(self, x: Tensor) -> Tensor:
        """Return the rate of each class, ``(batch, class)``."""
        x_seq = self.stem(x).unsqueeze(0).repeat(TIMESTEPS, 1, 1, 1, 1)
        return self.conv_fc(x_seq).mean(0)


class Norse(nn.Module):
    """Cells in a loop with their state, the largest voltage of a leaky integrator at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = stem()
        self.conv, self.bn = nn.Conv2d(STEM, HIDDEN, 3, stride=2, padding=1), nn.BatchNorm2d(HIDDEN)
        p = LIFParameters(tau_syn_inv=torch.tensor(500.0), tau_mem_inv=torch.tensor(400.0), v_th=torch.tensor(0.5))
        self.lif = norse.LIFCell(p._replace(method="super", alpha=torch.tensor(10.0)))
        self.fc = nn.Linear(HIDDEN * 16, CLASSES, bias=False)
        self.out = norse.LICell()

    def forward(self, x: Tensor) -> Tensor:
        """Return the largest voltage of each class, ``(batch, class)``."""
        features = self.stem(x)
        s1 = s2 = None
        voltages = []
        for _ in range(TIMESTEPS):
            z, s1 = self.lif(self.bn(self.conv(features)), s1)
            v, s2 = self.out(self.fc(z.flatten(1)), s2)
            voltages.append(v)
        return torch.stack(voltages).amax(0)


class Sinabs(nn.Module):
    """Squeezed layers on ``(batch * timestep, *feature)``, with the default: several spikes in a timestep."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = stem()
        self.spiking = nn.Sequential(
            nn.Conv2d(STEM, HIDDEN, 3, stride=2, padding=1, bias=False),
            sl.IAFSqueeze(num_timesteps=TIMESTEPS),
            nn.Flatten(),
            nn.Linear(HIDDEN * 16, CLASSES, bias=False),
            sl.LIFSqueeze(tau_mem=8.0, num_timesteps=TIMESTEPS, norm_input=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the rate of each class, ``(batch, class)``."""
        features = self.stem(x).unsqueeze(1).repeat(1, TIMESTEPS, 1, 1, 1).flatten(0, 1)
        return self.spiking(features).unflatten(0, (-1, TIMESTEPS)).mean(1)


def _reset_sinabs(model: nn.Module) -> None:
    for part in model.modules():
        if isinstance(part, sl.StatefulLayer):
            part.zero_grad()
            for name in ("v_mem", "i_syn"):
                if name in part._buffers:
                    setattr(part, name, torch.zeros(0))


class Slayer(nn.Module):
    """Blocks of lava-dl slayer on ``(batch, *feature, timestep)``; the rate of its classifier at the end."""

    def __init__(self) -> None:
        super().__init__()
        neurons = {"threshold": 1.0, "current_decay": 1.0, "voltage_decay": 0.1, "tau_grad": 0.5, "scale_grad": 1.0}
        settings = {"weight_norm": True, "delay_shift": False}
        self.stem = stem()
        self.blocks = nn.ModuleList(
            (
                slayer.block.cuba.Conv(dict(neurons), STEM, HIDDEN, 3, stride=2, padding=1, **settings),
                slayer.block.cuba.Flatten(),
                slayer.block.cuba.Dense(dict(neurons), HIDDEN * 16, 64, **settings),
                slayer.block.cuba.Dense(dict(neurons), 64, CLASSES, **settings),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the rate of each class, ``(batch, class)``."""
        spike = slayer.utils.time.replicate(self.stem(x), 2 * TIMESTEPS)
        for block in self.blocks:
            spike = block(spike)
        return slayer.classifier.Rate.rate(spike)


MODELS: dict[str, tuple[type[nn.Module], Callable[[nn.Module], object]]] = {
    "snntorch": (SnnTorch, utils.reset),
    "spikingjelly": (SpikingJelly, functional.reset_net),
    "norse": (Norse, lambda model: None),
    "sinabs": (Sinabs, _reset_sinabs),
    "slayer": (Slayer, lambda model: None),
}
"""The model of each library, and what its training loop calls between batches."""
