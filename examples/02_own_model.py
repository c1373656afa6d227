"""Compile a model of your own: define a hybrid network, train it, compile it, prove it, and run it without torch.

``python examples/02_own_model.py`` takes some seconds. It leaves the compiled program in ``build/own.hsnn``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

import hsnn
from hsnn import nn as snn
from hsnn.report.text import check_tables, layers_table, verify_table
from hsnn.runtime.metrics import accuracy
from hsnn.verify.ladder import verify
from hsnn_models import data

TIMESTEPS = 8
EPOCHS = 8
BATCH = 32
LEARNING_RATE = 1e-2
PROOF_SAMPLES = 32


class OwnModel(nn.Module):
    """A convolutional hybrid; takes images of shape ``(batch, 1, 8, 8)`` in [0, 1], returns ``(batch, 10)`` logits.

    Spike trains are ``(timestep, batch, *feature)``. ``nn.Linear`` takes them as they are; what insists on one
    batch axis, such as ``nn.Conv2d``, goes into a ``TimeDistributed``.
    """

    def __init__(self) -> None:
        super().__init__()
        # Before the encoder and behind the decoder: anything that ONNX can say. It runs on the host.
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.encode = snn.RateEncode(TIMESTEPS, scale=2.0, initial=0.5)
        # Between them: linear layers, which become synapses, and neurons. They run on the chip.
        self.synapses1 = snn.TimeDistributed(nn.Conv2d(8, 16, 3, stride=2, padding=1))
        self.neurons1 = snn.Lif(current_decay=1.0, voltage_decay=0.125)
        self.synapses2 = snn.TimeDistributed(nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64, 32)))
        self.neurons2 = snn.Lif(current_decay=1.0, voltage_decay=0.125)
        self.decode = snn.RateDecode()
        self.head = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of each image."""
        spikes = self.encode(self.stem(images))
        spikes = self.neurons1(self.synapses1(spikes))
        spikes = self.neurons2(self.synapses2(spikes))
        logits: Tensor = self.head(self.decode(spikes))
        return logits


def main(arguments: list[str] | None = None) -> int:
    """Go all the way; return 0 if every rung of the ladder holds, 5 if one does not."""
    options = _parser().parse_args(arguments)
    console = Console()
    torch.manual_seed(0)

    console.rule("[bold]check")  # before any training: where would everything run?
    model = OwnModel().eval()
    checked = hsnn.check(model, example_inputs=(torch.zeros(1, 1, 8, 8),))
    console.print(check_tables(checked))

    console.rule("[bold]train")
    train(model, data.digits("train"), epochs=options.epochs, console=console)

    console.rule("[bold]compile")
    program = hsnn.compile(model, data.digits("calibration").images, source="examples/02_own_model.py")
    console.print(layers_table(program))

    console.rule("[bold]prove")
    test = data.digits("test")
    samples = {program.inputs[0].name: test.images[:PROOF_SAMPLES]}
    proof = verify(program, model=model, samples=samples, target="loihi2-sim" if options.lava else "emulator")
    console.print(verify_table(proof))

    console.rule("[bold]save, load, run")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    program.save(options.output, overwrite=True)
    with hsnn.Session(hsnn.load(options.output), target="emulator") as session:  # from here on without torch
        result = session.run(test.images)
    compiled, trained = accuracy(result.output, test.labels), accuracy(logits(model, test.images), test.labels)
    console.print(f"accuracy on {len(test)} test images: torch {trained:.2%}, compiled {compiled:.2%}")
    console.print(f"artifact: {options.output}")
    return 0 if proof.passed else 5


def train(model: nn.Module, images: data.Images, *, epochs: int, console: Console) -> None:
    """Train as any other torch model is trained; the neurons have surrogate gradients."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    pixels, labels = torch.from_numpy(images.images), torch.from_numpy(images.labels)
    model.train()
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(labels)).split(BATCH):
            loss = functional.cross_entropy(model(pixels[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(chosen)
        console.print(f"epoch {epoch + 1} of {epochs}: loss {total / len(labels):.3f}")
    model.eval()


@torch.no_grad()
def logits(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """Return what the torch model says."""
    found: np.ndarray = model(torch.from_numpy(images)).numpy()
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--epochs", type=int, default=EPOCHS, help=f"passes over the training images (default {EPOCHS})"
    )
    parser.add_argument("--lava", action="store_true", help="verify up to Lava's simulation of Loihi 2 as well")
    parser.add_argument("--output", type=Path, default=Path("build/own.hsnn"), help="folder for the compiled program")
    return parser


if __name__ == "__main__":
    sys.exit(main())
