"""Networks of SpikingJelly's own model zoo, small, as its functions build them: published architectures as they are."""

from __future__ import annotations

import torch
from live_models import assert_equal
from registry import EXACT, construct
from spikingjelly.activation_based import functional, neuron, surrogate
from spikingjelly.activation_based.model import masnn, maxformer, ms_resnet, parametric_lif_net
from spikingjelly.activation_based.model import spike_driven_transformer as sdt
from torch import nn

LIBRARY = "SpikingJelly 2.0.0, networks of `activation_based.model`"
NEURON = {"detach_reset": True, "surrogate_function": surrogate.ATan()}
LIF = {"spiking_neuron": neuron.LIFNode, "tau": 2.0, **NEURON}


class Zoo(nn.Module):
    """A network of the zoo for samples; the mean of its output over time.

    Args:
        network: Takes ``(timestep, batch, *feature)``, or ``(batch, *feature)`` if it has its own timesteps.
        timesteps: Samples are repeated so often, or have a time axis behind the batch (0), or neither is needed (None).
        gain: Factor of all weights, so that neurons of new networks spike; norms add to that.
    """

    def __init__(self, network: nn.Module, timesteps: int | None, gain: float) -> None:
        super().__init__()
        functional.set_step_mode(network, "m")
        self.network, self.timesteps = network, timesteps
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
                    module.weight.mul_(gain)
                elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                    module.bias.add_(1.0)

    def forward(self, x):
        functional.reset_net(self.network)
        if self.timesteps:
            x = x.unsqueeze(0).repeat(self.timesteps, *(1,) * x.ndim)
        elif self.timesteps == 0:
            x = x.transpose(0, 1)
        sent = self.network(x)
        return sent.mean(0) if sent.ndim == 3 else sent


def same(build, *shape, timesteps=None, gain=8.0):
    torch.manual_seed(0)
    assert_equal(Zoo(build(), timesteps, gain), shape=shape, samples=2)


@construct(LIBRARY, "parametric_lif_net: FashionMNISTNet, CIFAR10Net, DVSGestureNet", EXACT)
def parametric_lif():
    options = {"spiking_neuron": neuron.ParametricLIFNode, "init_tau": 2.0, **NEURON}
    same(lambda: parametric_lif_net.FashionMNISTNet(channels=4, **options), 1, 28, 28, timesteps=4)
    same(lambda: parametric_lif_net.CIFAR10Net(channels=4, **options), 3, 32, 32, timesteps=4)
    same(lambda: parametric_lif_net.DVSGestureNet(channels=3, **options), 2, 128, 128, timesteps=4)


@construct(LIBRARY, "ms_resnet: MSResNet and MaxResNet", EXACT)
def resnets():
    options = {"T": 4, "num_classes": 10, "layers": (1, 1, 1, 1), "base_channels": 8, "stem_kernel_size": 3, **LIF}
    same(lambda: ms_resnet.MSResNet(stem_stride=1, **options), 3, 32, 32)
    same(lambda: ms_resnet.MaxResNet(stem_stride=1, **options), 3, 32, 32)


@construct(LIBRARY, "spike_driven_transformer and maxformer", EXACT)
def transformers():
    options = {"T": 4, "num_classes": 10, **LIF}
    same(lambda: sdt.SpikeDrivenTransformer(embed_dims=32, num_heads=4, depths=1, **options), 3, 64, 64)
    same(lambda: maxformer.MaxFormer(embed_dims=48, depths=(1, 1, 1), cifar=True, **options), 3, 32, 32)


@construct(LIBRARY, "masnn: attention over time, channels and space", EXACT)
def attention():
    def build():
        return masnn.MASNN(T=5, channels=(8, 8, 8), fc_hidden=16, reduction_t=2, reduction_c=2, **LIF)

    same(build, 5, 2, 32, 32, timesteps=0, gain=200.0)
