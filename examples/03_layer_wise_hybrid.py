"""Layer-wise hybrids with bit planes: a trained HAS-8 network, compiled, proven, and what its coding costs.

``python examples/03_layer_wise_hybrid.py`` takes half a minute. ``--train`` trains a small one of its own first, which
takes about a minute more.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import nn

import hsnn
from hsnn.compiler import Options
from hsnn.errors import HsnnWarning
from hsnn.report.text import cuts_table, layers_table, partition_table, verify_table
from hsnn.runtime.metrics import accuracy
from hsnn.verify.ladder import verify
from hsnn_models import data
from hsnn_models.has8 import Has8ResNet
from hsnn_models.has8_recipes import load
from hsnn_models.training import Settings, train

MODEL = "has8_resnet_has8"
BATCH = 250
SETTINGS = Settings(
    epochs=20,
    batch=32,
    learning_rate=1e-2,
    weight_decay=1e-2,
    seed=1,
    mirror=True,
    quiet=0.02,
    busy=0.3,
    balance=1.0,
    clip=1.0,
)


def main(arguments: list[str] | None = None) -> int:
    """Go all the way; return 0 if every rung of the ladder holds, 5 if one does not."""
    options = _parser().parse_args(arguments)
    console = Console()
    images, test = data.fashion_subset("calibration"), data.fashion_subset("test")
    model = own(images, console) if options.train else load(MODEL, trained=True)

    console.rule("[bold]compile as published: the result depends on the batch")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", HsnnWarning)
        published = hsnn.compile(model, images.images, source="examples/03_layer_wise_hybrid.py")
    for warning in told:
        console.print(f"warning: {warning.message}", markup=False)

    console.rule("[bold]freeze the scales: samples are independent")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HsnnWarning)  # the order of the planes, once more
        program = hsnn.compile(model, images.images, labels=images.labels, options=Options(freeze_rescale=64))
    frozen = program.metadata.options["freeze_rescale"]
    console.print(frozen["summary"] if isinstance(frozen, dict) else "")
    for table in (partition_table(program), cuts_table(program), layers_table(program)):
        console.print(table)

    console.rule("[bold]prove")
    proof = verify(program, model=model, target="loihi2-sim" if options.lava else "emulator")
    console.print(verify_table(proof))

    console.rule("[bold]run")
    expected = logits(model, test.images)
    console.print(f"torch, batches of {BATCH}: accuracy {accuracy(expected, test.labels):.2%}")
    run(published, test, BATCH, "as published", console)
    run(program, test, 1, "frozen", console)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    program.save(options.output, overwrite=True)
    console.print(f"artifact: {options.output}; its report: {options.output / 'report.html'}")
    return 0 if proof.passed else 5


def own(images: data.Images, console: Console) -> nn.Module:
    """Train a small network on the few images that come with hsnn_models."""
    checkpoint = Path("build/train/layer_wise_hybrid.pt")
    return train(
        lambda: Has8ResNet("has8", stem=4, base=4, depth=(1, 1), gradient="tanh_sine"),
        images,
        images,
        settings=SETTINGS,
        checkpoint=checkpoint,
        console=console,
    )


def run(program: hsnn.Program, test: data.Images, batch: int, name: str, console: Console) -> None:
    """Run the test images and tell accuracy, spikes, and what crossed."""
    with hsnn.Session(program, target="emulator", batch_size=batch) as session:
        result = session.run(test.images)
    spikes = sum(sum(stage.spike_counts.values()) for stage in result.stages) / len(test)
    crossed = sum(sum(stage.messages.values()) for stage in result.stages) / len(test)
    console.print(
        f"{name}, batches of {batch}: accuracy {accuracy(result.output, test.labels):.2%}, {spikes:,.0f} spikes and "
        f"{crossed:,.0f} messages an image"
    )


@torch.no_grad()
def logits(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """Return what the torch model says, in batches."""
    return np.concatenate([model(part).numpy() for part in torch.from_numpy(images).split(BATCH)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true", help="train a small network first")
    parser.add_argument("--lava", action="store_true", help="verify up to Lava's simulation of Loihi 2 as well")
    parser.add_argument("--output", type=Path, default=Path("build/layer_wise.hsnn"), help="folder for the program")
    return parser


if __name__ == "__main__":
    sys.exit(main())
