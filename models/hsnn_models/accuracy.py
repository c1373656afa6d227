"""Accuracy of the example models on their test splits, float and compiled: ``python -m hsnn_models.accuracy``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import hsnn
from hsnn.errors import HsnnError
from hsnn.libraries import named_if_missing
from hsnn_models import data
from hsnn_models.digits import digits
from hsnn_models.fashion import fashion

with named_if_missing():
    import torch
    from torch import nn

BATCH: Final = 250

Load = Callable[[data.Split], data.Images]
Tell = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Figures:
    """How one model did on its test split.

    Attributes:
        model: Name of the model.
        target: Where the compiled model's spiking parts ran.
        images: Number of test images.
        float_accuracy: Share that the torch model classifies right.
        target_accuracy: Share that the compiled model classifies right.
        agreement: Share on which both say the same, right or wrong.
        seconds: Time of the compiled model's run.
    """

    model: str
    target: str
    images: int
    float_accuracy: float
    target_accuracy: float
    agreement: float
    seconds: float


def measure(name: str, load: Load, *, target: str, limit: int | None, tell: Tell) -> Figures:
    """Compile a trained model with its calibration split and run both on its test split.

    Args:
        name: ``"digits"`` or ``"fashion"``.
        load: Loads a split of its images.
        target: Name of the target.
        limit: At most so many test images; None for all.
        tell: Told the number of images that have just been run.

    Raises:
        HsnnError: If compiling or running fails.
    """
    model = MODELS[name](trained=True)
    test = load("test")
    test = test if limit is None else test.first(limit)
    program = hsnn.compile(model, load("calibration").images, source=f"hsnn_models.{name}:{name}")
    expected = classes(model, test.images)
    with hsnn.Session(program, target=target, batch_size=BATCH) as session:
        result = session.run(test.images, progress=tell)
    found = result.output.argmax(1)
    return Figures(
        model=name,
        target=target,
        images=len(test),
        float_accuracy=float((expected == test.labels).mean()),
        target_accuracy=float((found == test.labels).mean()),
        agreement=float((found == expected).mean()),
        seconds=result.seconds,
    )


MODELS: Final[dict[str, Callable[..., nn.Module]]] = {"digits": digits, "fashion": fashion}


def main() -> int:
    """Measure, print a table or JSON, and return the exit status."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    loads: dict[str, Load] = {"digits": data.digits, "fashion": partial(data.fashion, root=arguments.data)}
    console = Console(stderr=True)
    figures = []
    try:
        for name in arguments.models or list(MODELS):
            with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
                task = progress.add_task(f"{name} on {arguments.target}", total=arguments.samples)
                tell = partial(progress.advance, task)
                figures.append(measure(name, loads[name], target=arguments.target, limit=arguments.samples, tell=tell))
    except HsnnError as error:
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return error.exit_status
    if arguments.json:
        sys.stdout.write(json.dumps([asdict(item) for item in figures], indent=2) + "\n")
    else:
        Console().print(_table(figures))
    return 0


def classes(model: nn.Module, images: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return the class that a torch model puts each image in.

    Args:
        model: Makes logits ``(batch, class)``; called with :data:`BATCH` images at a time.
        images: Shape ``(image, channel, height, width)``.

    Returns:
        Shape ``(image,)``.
    """
    with torch.no_grad():
        batches = torch.from_numpy(images).split(BATCH)
        return torch.cat([model(batch).argmax(1) for batch in batches]).numpy()


def _table(figures: Sequence[Figures]) -> Table:
    table = Table("model", "target", "images", "float", "compiled", "points", "agree", "per s")
    for item in figures:
        table.add_row(
            item.model,
            item.target,
            str(item.images),
            f"{item.float_accuracy:.2%}",
            f"{item.target_accuracy:.2%}",
            f"{100 * (item.target_accuracy - item.float_accuracy):+.2f}",
            f"{item.agreement:.2%}",
            f"{item.images / item.seconds:.0f}",
        )
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hsnn_models.accuracy", description="Accuracy of the example models, float and compiled."
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{' or '.join(MODELS)} (default: both)")
    parser.add_argument("--target", default="emulator", help="where spiking parts run (default: emulator)")
    parser.add_argument("--samples", type=int, help="at most so many test images (default: all)")
    parser.add_argument("--data", type=Path, help="folder with the four files of Fashion-MNIST")
    parser.add_argument("--threads", type=int, default=2, help="threads that torch uses (default: 2)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
