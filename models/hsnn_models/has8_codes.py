"""What codes of an image cost in spikes, and what they lose: ``python -m hsnn_models.has8_codes``.

Every code is applied to the test images and decoded again. The accuracy is that of the trained ANN twin on what was
decoded, so that codes can be compared at equal accuracy.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from hsnn.errors import HsnnError
from hsnn.nn import RateDecode, RateEncode, matched
from hsnn_models import data
from hsnn_models.accuracy import BATCH
from hsnn_models.has8_recipes import load

TWIN: Final = "has8_resnet_ann"
PLANES: Final = (8, 6, 5, 4, 3)
TIMESTEPS: Final = (4, 8, 16, 32, 64, 255)


@dataclass(frozen=True, slots=True)
class Code:
    """One code of the test images.

    Attributes:
        code: ``bit planes`` or ``rate``.
        timesteps: Timesteps of an image.
        spikes: Spikes of a pixel, mean.
        error: Root mean square of what decoding loses, of pixels in [0, 1].
        accuracy: Share that the ANN twin classifies right.
    """

    code: str
    timesteps: int
    spikes: float
    error: float
    accuracy: float


def coders() -> tuple[tuple[str, int, nn.Module, nn.Module], ...]:
    """Return name, timesteps, encoder and decoder of every code."""
    planes = tuple(("bit planes", count, *matched(count)) for count in PLANES)
    return planes + tuple(("rate", count, RateEncode(count, initial=0.5), RateDecode()) for count in TIMESTEPS)


@torch.no_grad()
def measure(name: str, timesteps: int, encode: nn.Module, decode: nn.Module, images: data.Images) -> Code:
    """Encode and decode images, and classify what is left of them."""
    twin = load(TWIN, trained=True)
    spikes, squares, right = 0.0, 0.0, 0
    for start in range(0, len(images), BATCH):
        pixels = torch.from_numpy(images.images[start : start + BATCH])
        train: Tensor = encode(pixels)
        decoded: Tensor = decode(train)
        spikes += float(train.sum())
        squares += float((decoded - pixels).square().sum())
        right += int((twin(decoded).argmax(1).numpy() == images.labels[start : start + BATCH]).sum())
    pixels_in_all = images.images.size
    return Code(name, timesteps, spikes / pixels_in_all, float(np.sqrt(squares / pixels_in_all)), right / len(images))


def main() -> int:
    """Measure every code, print a table or JSON, and return the exit status."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        images = data.fashion("test", root=arguments.data)
        images = images if arguments.samples is None else images.first(arguments.samples)
        codes = [measure(*coder, images) for coder in coders()]
    except HsnnError as error:
        Console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
        return error.exit_status
    if arguments.json:
        sys.stdout.write(json.dumps([asdict(code) for code in codes], indent=2) + "\n")
        return 0
    table = Table("code", "timesteps", "spikes", "rms error", "accuracy")
    for code in codes:
        cells = f"{code.spikes:.2f}", f"{code.error:.4f}", f"{code.accuracy:.2%}"
        table.add_row(code.code, str(code.timesteps), *cells)
    Console().print(table)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hsnn_models.has8_codes", description="Spikes, error and accuracy of codes of the test images."
    )
    parser.add_argument("--samples", type=int, help="at most so many test images (default: all)")
    parser.add_argument("--data", type=Path, help="folder with the four files of Fashion-MNIST")
    parser.add_argument("--threads", type=int, default=2, help="threads that torch uses (default: 2)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
