"""How the HAS-8 models for Fashion-MNIST are trained, and their twins of one branch.

A twin has the same layers, but only the ordinary branches (``ann``) or only the spiking ones (``snn``: one spiking
network, encoded once and decoded once). Names are ``has8_vgg_matched``, ``has8_vgg_has8``, ``has8_vgg_ann``,
``has8_vgg_snn``, and the same with ``has8_resnet``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from hsnn.libraries import named_if_missing

with named_if_missing():
    from torch import nn

    from hsnn_models.has8 import Has8ResNet, Has8Vgg
    from hsnn_models.has8_blocks import known
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
TRAINING: Final[Mapping[str, Settings]] = {
    "matched": SETTINGS,
    "has8": replace(SETTINGS, epochs=12, clip=1.0),
    "ann": SETTINGS,
    "snn": replace(SETTINGS, clip=1.0),
}
"""How each variant is trained: the published coding learns more slowly."""
FAMILIES: Final[Mapping[str, Callable[..., nn.Module]]] = {
    "has8_vgg": partial(Has8Vgg, base=8, depth=3, hidden=(64, 32)),
    "has8_resnet": partial(Has8ResNet, stem=8, base=8, depth=(1, 1, 1), stem_stride=2),
}
"""Sizes for images of 28 by 28 pixels."""
VARIANTS: Final[Mapping[str, Mapping[str, str]]] = {
    "matched": {"preset": "matched"},
    "has8": {"preset": "has8", "gradient": "tanh_sine"},
    "ann": {"preset": "matched", "branches": "ann"},
    "snn": {"preset": "matched", "branches": "plain"},
}


def factories() -> dict[str, Callable[[], nn.Module]]:
    """Return what makes each model, by its name, with random weights."""
    return {
        f"{family}_{variant}": partial(make, **chosen)
        for family, make in FAMILIES.items()
        for variant, chosen in VARIANTS.items()
    }


def settings(name: str) -> Settings:
    """Return how the model of this name is trained."""
    known(name, NAMES, "recipe")
    return TRAINING[name.rpartition("_")[2]]


def load(name: str, *, trained: bool = False) -> nn.Module:
    """Return one of the models in evaluation mode.

    Args:
        name: One of :data:`NAMES`.
        trained: Load the weights that come with hsnn_models; else they are random.

    Raises:
        UsageError: ``HSNN-U210``, if there is no such model; ``HSNN-F003`` to ``HSNN-F005``, if the packed weights
            are missing or do not fit.
    """
    known(name, NAMES, "recipe")
    model = factories()[name]()
    return load_packed(model, name) if trained else model.eval()


NAMES: Final = tuple(factories())
"""All recipes."""
