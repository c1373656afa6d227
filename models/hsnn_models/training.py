"""The training loop of the example models: seeded, resumable, with a penalty on layers too busy or too quiet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from hsnn.errors import UsageError
from hsnn.nn import Lif, RateEncode
from hsnn_models.data import Images


@dataclass(frozen=True, slots=True)
class Settings:
    """What a training depends on, besides the model and the images.

    Attributes:
        epochs: Passes over the images.
        batch: Images a step; what is left over at the end of an epoch is dropped.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: Decoupled weight decay of AdamW.
        seed: Seed of initial weights, order, mirroring and dropout.
        mirror: Whether half of the images are mirrored, left to right.
        quiet: Spikes per neuron and timestep, averaged over a layer, below which the layer is penalized.
        busy: The same, above which it is.
        balance: Weight of that penalty.
        clip: Largest norm of the gradient of all weights together; a longer one is scaled down. None for no limit.
    """

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    seed: int
    mirror: bool
    quiet: float
    busy: float
    balance: float
    clip: float | None = None


def train(
    factory: Callable[[], nn.Module],
    images: Images,
    held_out: Images,
    *,
    settings: Settings,
    checkpoint: Path,
    console: Console,
) -> nn.Module:
    """Train a new model, or go on with one that was interrupted.

    Args:
        factory: Makes the model.
        images: What it learns from.
        held_out: Other images, whose accuracy is shown after each epoch and decides nothing.
        settings: All choices.
        checkpoint: File that is written after each epoch, and read first where it exists.
        console: Where progress is shown.

    Returns:
        The model after the last epoch, in evaluation mode.

    Raises:
        UsageError: HSNN-U205 if the checkpoint is of a training with other settings.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = factory()
        steps = len(images) // settings.batch
        optimizer = AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        schedule = OneCycleLR(optimizer, settings.learning_rate, total_steps=settings.epochs * steps, pct_start=0.25)
        state = _State(model, optimizer, schedule)
        for epoch in range(state.resume(checkpoint, settings), settings.epochs):
            # Seeded by epoch, so that a resumed training is the same as one that was never interrupted.
            torch.manual_seed(settings.seed + 1 + epoch)
            loss = _epoch(state, images, settings, f"epoch {epoch + 1} of {settings.epochs}", console)
            state.save(checkpoint, settings, epoch + 1)
            share = accuracy(model, held_out)
            console.print(f"epoch {epoch + 1:3d}  loss {loss:.4f}  held-out accuracy {share:.2%}")
    return model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, images: Images, *, batch: int = 500) -> float:
    """Return the share of images whose largest logit is that of their label; the model is left in evaluation mode."""
    model.eval()
    right = 0
    for start in range(0, len(images), batch):
        logits = model(torch.from_numpy(images.images[start : start + batch]))
        right += int((logits.argmax(1).numpy() == images.labels[start : start + batch]).sum())
    return right / len(images)


@torch.no_grad()
def spike_rates(model: nn.Module, images: Images) -> dict[str, float]:
    """Return the mean number of spikes per neuron and timestep of each encoder and neuron layer, by name."""
    model.eval()
    with _watched(model, (RateEncode, Lif)) as rates:
        model(torch.from_numpy(images.images))
    return {name: float(rate) for name, rate in rates.items()}


class _State:
    """What changes while training."""

    def __init__(self, model: nn.Module, optimizer: AdamW, schedule: OneCycleLR) -> None:
        self.model, self.optimizer, self.schedule = model, optimizer, schedule

    def save(self, path: Path, settings: Settings, epoch: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "settings": asdict(settings),
            "epoch": epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        unfinished = path.with_suffix(".unfinished")
        torch.save(content, unfinished)
        os.replace(unfinished, path)

    def resume(self, path: Path, settings: Settings) -> int:
        """Return the number of epochs that are done."""
        if not path.exists():
            return 0
        content = torch.load(path, weights_only=True)
        if content["settings"] != asdict(settings):
            raise UsageError(
                "HSNN-U205",
                f"{path} is of a training with other settings",
                allowed=str(settings),
                fix="remove it to train from the start",
            )
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.schedule.load_state_dict(content["schedule"])
        return int(content["epoch"])


def _epoch(state: _State, images: Images, settings: Settings, title: str, console: Console) -> float:
    state.model.train()
    pixels, labels = torch.from_numpy(images.images), torch.from_numpy(images.labels)
    steps = len(images) // settings.batch
    chosen = torch.randperm(len(images))[: steps * settings.batch].split(settings.batch)
    total = 0.0
    hidden = not console.is_terminal
    with Progress(console=console, transient=True, disable=hidden) as progress, _watched(state.model, (Lif,)) as rates:
        for batch in progress.track(chosen, description=title):
            logits = state.model(_mirrored(pixels[batch]) if settings.mirror else pixels[batch])
            loss = functional.cross_entropy(logits, labels[batch])
            state.optimizer.zero_grad()
            (loss + settings.balance * _excess(rates, settings)).backward()
            if settings.clip is not None:
                nn.utils.clip_grad_norm_(state.model.parameters(), settings.clip)
            state.optimizer.step()
            state.schedule.step()
            total += float(loss.detach())
    return total / steps


def _excess(rates: dict[str, Tensor], settings: Settings) -> Tensor:
    """Sum over the layers by how much each is too busy or too quiet; 0 for a model without neurons."""
    if not rates:
        return torch.zeros(())
    rate = torch.stack(tuple(rates.values()))
    return ((rate - settings.busy).clamp(min=0) + (settings.quiet - rate).clamp(min=0)).sum()


def _mirrored(images: Tensor) -> Tensor:
    chosen = torch.rand(len(images)) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


@contextmanager
def _watched(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterator[dict[str, Tensor]]:
    """Give a dictionary that holds the mean of each such layer's latest output."""
    rates: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(module: nn.Module, inputs: object, spikes: Tensor) -> None:
            rates[name] = spikes.mean()

        return hook

    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, kinds)]
    handles = [layer.register_forward_hook(watch(name)) for name, layer in layers]
    try:
        yield rates
    finally:
        for handle in handles:
            handle.remove()
