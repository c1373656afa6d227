"""How the HAS-8 models for Fashion-MNIST are trained, and their twins of one branch.

A twin has the same layers, but only the ordinary branch of each block (``ann``) or only the spiking one (``snn``,
which still decodes and encodes between blocks). Names are ``has8_vgg_matched``, ``has8_vgg_has8``,
``has8_vgg_ann``, ``has8_vgg_snn``, and the same with ``has8_resnet``. ``has8_resnet_matched`` comes trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from torch import nn

from hsnn_models.has8 import Has8ResNet, Has8Vgg
from hsnn_models.training import Settings
from hsnn_models.weights import load_packed

SETTINGS: Final = Settings(
    epochs=8,
    batch=64,
    learning_rate=4e-3,
    weight_decay=2e-2,
    seed=1,
    mirror=True,
    quiet=0.02,
    busy=0.3,
    balance=1.0,
)
FAMILIES: Final[Mapping[str, Callable[..., nn.Module]]] = {
    "has8_vgg": partial(Has8Vgg, base=8, depth=2, hidden=(64, 32)),
    "has8_resnet": partial(Has8ResNet, stem=8, base=8, depth=(1, 1, 1), stem_stride=2),
}
"""Sizes for images of 28 by 28 pixels."""
VARIANTS: Final[Mapping[str, Mapping[str, str]]] = {
    "matched": {"preset": "matched"},
    "has8": {"preset": "has8"},
    "ann": {"preset": "matched", "branches": "ann"},
    "snn": {"preset": "matched", "branches": "snn"},
}


def factories() -> dict[str, Callable[[], nn.Module]]:
    """Return what makes each model, by its name, with random weights."""
    return {
        f"{family}_{variant}": partial(make, **chosen)
        for family, make in FAMILIES.items()
        for variant, chosen in VARIANTS.items()
    }


def has8_resnet(*, trained: bool = False) -> nn.Module:
    """Return ``has8_resnet_matched`` in evaluation mode.

    Args:
        trained: Load the weights that come with hsnn_models; else they are random.

    Raises:
        UsageError: If the packed weights are missing or do not fit.
    """
    name = "has8_resnet_matched"
    model = factories()[name]()
    return load_packed(model, name) if trained else model.eval()
