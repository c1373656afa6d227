"""HAS-8, its twins, and what each costs, on the test split: ``python -m hsnn_models.has8_table``.

One row a model: accuracy in float and in integers, spikes, synaptic operations, multiplications on the host, and
what crosses between host and chip, all per image. ``--markdown docs/has8.md`` writes the table into that page.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import hsnn
from hsnn.errors import HsnnError, HsnnWarning, UsageError
from hsnn.ir.shape import size
from hsnn.libraries import named_if_missing
from hsnn.runtime.operations import synaptic_operations
from hsnn_models import data
from hsnn_models.accuracy import BATCH, Tell, classes
from hsnn_models.has8_blocks import SpikingBranch, known
from hsnn_models.has8_recipes import NAMES, load

with named_if_missing():
    import torch
    from torch import Tensor, nn

TRACED: Final = 250
"""Images whose spikes are followed through every synapse."""
BEGIN, END = "<!-- table of hsnn_models.has8_table -->", "<!-- end of that table -->"
HEADINGS: Final = (
    "model",
    "float",
    "integer",
    "agree",
    "spikes",
    "SOPs",
    "host MACs",
    "values",
    "messages",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One model; all but the accuracies are means per image, and None where nothing runs on the chip.

    Attributes:
        model: Name of the recipe.
        images: Number of test images.
        batch: Images that run together; what ``has8`` says of one depends on the others.
        target: Where the spiking parts ran.
        float_accuracy: Share that the torch model classifies right.
        integer_accuracy: Share that the compiled model classifies right.
        agreement: Share that both put in the same class.
        spikes: Spikes of all neurons.
        operations: Synapses that spikes went through.
        host_macs: Multiply-accumulates of convolutions and linear layers on the host.
        values: Values that cross between host and chip, all timesteps.
        messages: Those of them that are not 0.
    """

    model: str
    images: int
    batch: int
    target: str
    float_accuracy: float
    integer_accuracy: float | None
    agreement: float | None
    spikes: float | None
    operations: float | None
    host_macs: float
    values: int | None
    messages: float | None


def measure(name: str, root: Path | None, *, target: str, limit: int | None, tell: Tell) -> Row:
    """Run one trained model in float and, where it has neurons, compiled.

    Args:
        name: One of :data:`hsnn_models.has8_recipes.NAMES`.
        root: Folder of the full Fashion-MNIST.
        target: Name of the target.
        limit: At most so many test images; None for all.
        tell: Told the number of images that have just been run.

    Raises:
        HsnnError: If the weights are missing, or compiling or running fails.
    """
    model = load(name, trained=True)
    test = data.fashion("test", root=root)
    test = test if limit is None else test.first(limit)
    expected = classes(model, test.images)
    right = float((expected == test.labels).mean())
    macs = host_macs(model, torch.from_numpy(test.images[:1]))
    if not any(isinstance(module, SpikingBranch) for module in model.modules()):
        return Row(name, len(test), BATCH, "host", right, None, None, None, None, macs, None, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HsnnWarning)  # that has8 is surprising is what the table is about
        program = hsnn.compile(model, data.fashion("calibration", root=root).images, source=f"has8_recipes:{name}")
    with hsnn.Session(program, target=target, batch_size=BATCH) as session:
        result = session.run(test.images, progress=tell)
        traced = session.run(test.images[:TRACED], trace=True)
    networks = {stage.name: stage.network for stage in program.chip_stages}
    followed = sum(sum(synaptic_operations(networks[stage], trace).values()) for stage, trace in traced.traces.items())
    found = result.output.argmax(1)
    return Row(
        model=name,
        images=len(test),
        batch=BATCH,
        target=target,
        float_accuracy=right,
        integer_accuracy=float((found == test.labels).mean()),
        agreement=float((found == expected).mean()),
        spikes=sum(sum(stage.spike_counts.values()) for stage in result.stages) / len(test),
        operations=followed / traced.samples,
        host_macs=macs,
        values=sum(size(cut.shape) * cut.timesteps for cut in program.cuts),
        messages=sum(sum(stage.messages.values()) for stage in result.stages) / len(test),
    )


@torch.no_grad()
def host_macs(model: nn.Module, image: Tensor) -> float:
    """Count the multiply-accumulates of convolutions and linear layers outside the spiking branches.

    Args:
        model: A network of :mod:`hsnn_models.has8`.
        image: One image or more, shape ``(batch, channel, height, width)``.

    Returns:
        Mean of one image.
    """
    on_chip = {
        id(layer) for branch in model.modules() if isinstance(branch, SpikingBranch) for layer in branch.modules()
    }
    host = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear) and id(m) not in on_chip]
    with _counted(host) as counts:
        model(image)
    return float(sum(counts)) / len(image)


@contextmanager
def _counted(layers: Sequence[nn.Conv2d | nn.Linear]) -> Iterator[list[int]]:
    counts: list[int] = []

    def hook(layer: nn.Module, inputs: object, made: Tensor) -> None:
        counts.append(made.numel() * next(layer.parameters())[0].numel())

    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()


def cells(row: Row) -> tuple[str, ...]:
    """Write a row as text, a cell for each of :data:`HEADINGS`."""
    return (
        row.model,
        f"{row.float_accuracy:.2%}",
        "-" if row.integer_accuracy is None else f"{row.integer_accuracy:.2%}",
        "-" if row.agreement is None else f"{row.agreement:.2%}",
        _count(row.spikes),
        _count(row.operations),
        _count(row.host_macs),
        _count(row.values),
        _count(row.messages),
    )


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def markdown(rows: Sequence[Row]) -> str:
    """Write the table as Markdown, and below it what it was measured on."""
    lines = [HEADINGS, ("---",) + ("---:",) * (len(HEADINGS) - 1), *map(cells, rows)]
    images = ", ".join(sorted({f"{row.images:,}" for row in rows}))
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return (
        f"{table}\n\n{images} test images of Fashion-MNIST in batches of {BATCH}. Counts are means per image:\n"
        "spikes of all neurons, synaptic operations (synapses that spikes went through), multiply-accumulates on the\n"
        "host, values that cross between host and chip in all timesteps, and those of them that are not 0.\n"
    )


def write_markdown(page: Path, rows: Sequence[Row]) -> None:
    """Put the table between the two marks of a page.

    Raises:
        UsageError: ``HSNN-U211``, if the page lacks a mark.
    """
    text = page.read_text(encoding="utf-8")
    start, end = text.find(BEGIN), text.find(END)
    if start < 0 or end < start:
        raise UsageError("HSNN-U211", f"{page} has no place for the table", allowed=f"the lines {BEGIN} and {END}")
    text = f"{text[: start + len(BEGIN)]}\n\n{markdown(rows)}\n{text[end:]}"
    page.write_text(text, encoding="utf-8")


def main() -> int:
    """Measure, print a table or JSON, and return the exit status."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    console = Console(stderr=True)
    rows = []
    try:
        for name in arguments.models or NAMES:
            known(name, NAMES, "recipe")
        for name in arguments.models or NAMES:
            with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
                task = progress.add_task(name, total=arguments.samples)

                tell = partial(progress.advance, task)
                row = measure(name, arguments.data, target=arguments.target, limit=arguments.samples, tell=tell)
                rows.append(row)
        if arguments.markdown is not None:
            write_markdown(arguments.markdown, rows)
    except HsnnError as error:
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return error.exit_status
    if arguments.json:
        sys.stdout.write(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    else:
        Console(width=120).print(_table(rows))  # a pipe would get 80 columns
    return 0


def _table(rows: Sequence[Row]) -> Table:
    table = Table(*HEADINGS)
    for row in rows:
        table.add_row(*cells(row))
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hsnn_models.has8_table", description="HAS-8 and its twins: accuracy and cost per image."
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"some of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--target", default="emulator", help="where spiking parts run (default: emulator)")
    parser.add_argument("--samples", type=int, help="at most so many test images (default: all)")
    parser.add_argument("--data", type=Path, help="folder with the four files of Fashion-MNIST")
    parser.add_argument("--threads", type=int, default=2, help="threads that torch uses (default: 2)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the table into this page, between its marks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
