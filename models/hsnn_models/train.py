"""Train one of the example models: ``python -m hsnn_models.train digits``.

Writes the weights that come with hsnn_models anew. An interrupted training goes on where its last epoch ended.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from hsnn.libraries import named_if_missing
from hsnn_models import data, has8_recipes
from hsnn_models.digits import Digits
from hsnn_models.fashion import Fashion
from hsnn_models.training import Settings, accuracy, spike_rates, train
from hsnn_models.weights import packed, save_weights

with named_if_missing():
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that one training needs.

    Attributes:
        factory: Makes the model.
        load: Loads a split of its images.
        settings: Choices of the training.
    """

    factory: Callable[[], nn.Module]
    load: Callable[[data.Split], data.Images]
    settings: Settings


def recipes(root: Path | None = None) -> dict[str, Recipe]:
    """Return how each model is trained.

    Args:
        root: Folder of the full Fashion-MNIST, see `hsnn_models.data.fashion`.

    Returns:
        Recipes by the name of the model.
    """
    return {
        "digits": Recipe(
            Digits,
            data.digits,
            Settings(
                epochs=60,
                batch=64,
                learning_rate=2e-3,
                weight_decay=2e-2,
                seed=1,
                mirror=False,
                quiet=0.0,
                busy=0.2,
                balance=2.0,
            ),
        ),
        "fashion": Recipe(
            Fashion,
            partial(data.fashion, root=root),
            Settings(
                epochs=6,
                batch=128,
                learning_rate=4e-3,
                weight_decay=2e-2,
                seed=1,
                mirror=True,
                quiet=0.05,
                busy=0.15,
                balance=2.0,
            ),
        ),
        **{
            name: Recipe(make, partial(data.fashion, root=root), has8_recipes.settings(name))
            for name, make in has8_recipes.factories().items()
        },
    }


RATE_IMAGES: Final = 500


def main() -> None:
    """Train, show what came out, and write the weights."""
    arguments = _parser().parse_args()
    console = Console()
    torch.set_num_threads(arguments.threads)
    recipe = recipes(arguments.data)[arguments.model]
    checkpoint = arguments.checkpoint or Path("build/train") / f"{arguments.model}.pt"
    model = train(
        recipe.factory,
        recipe.load("train"),
        recipe.load("calibration"),
        settings=recipe.settings,
        checkpoint=checkpoint,
        console=console,
    )
    test = recipe.load("test")
    console.print(f"test accuracy {accuracy(model, test):.2%} of {len(test)} images")
    for name, rate in spike_rates(model, test.first(RATE_IMAGES)).items():
        console.print(f"{name}: {rate:.3f} spikes per neuron and timestep")
    output = arguments.output or packed(arguments.model)
    save_weights(model, output)
    console.print(f"wrote {output}, {output.stat().st_size} bytes")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hsnn_models.train", description="Train an example model.")
    parser.add_argument("model", choices=sorted(recipes()), help="which model")
    parser.add_argument("--data", type=Path, help="folder with the four files of Fashion-MNIST")
    parser.add_argument("--threads", type=int, default=2, help="threads that torch uses (default: 2)")
    parser.add_argument("--checkpoint", type=Path, help="where to keep the state (default: build/train/MODEL.pt)")
    parser.add_argument("--output", type=Path, help="where to write the weights (default: into hsnn_models)")
    return parser


if __name__ == "__main__":
    main()
