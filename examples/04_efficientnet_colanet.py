"""From a folder of labelled pictures to a hybrid classifier that learned in one pass, and then learns a class more.

``python examples/04_efficientnet_colanet.py`` writes some hundred pictures of Fashion-MNIST into a folder first (``make
data`` fetches them) and takes a minute or two. ``--images FOLDER`` takes your own: one sub-folder of PNG or JPEG files
for each class. It needs Pillow and the packages of the EfficientNet; see docs/colanet.md.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from torch import nn

import hsnn
from hsnn.compiler import Options
from hsnn.errors import HsnnError
from hsnn.report.text import layers_table, partition_table
from hsnn_models import data
from hsnn_models.colanet import forgetting
from hsnn_models.colanet.deploy import deploy
from hsnn_models.colanet.efficientnet import efficientnet_features
from hsnn_models.colanet.features import Encoder, default_cache
from hsnn_models.colanet.head import ColanetHead
from hsnn_models.colanet.images import Pictures, load_folder
from hsnn_models.colanet.parameters import Parameters
from hsnn_models.colanet.scaling import Scaling
from hsnn_models.colanet.tasks import Samples, features_of

NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
JUDGED = 4  # every fourth picture of a class is judged on and never learned from
REHEARSE = 10
CALIBRATION = 32


def main(arguments: list[str] | None = None) -> int:
    """Go all the way; return the exit status."""
    options = _parser().parse_args(arguments)
    console = Console()
    try:
        run(options, console)
    except HsnnError as error:
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return error.exit_status
    return 0


def run(options: argparse.Namespace, console: Console) -> None:
    """Go all the way."""
    console.rule("[bold]pictures")
    if options.images is None:
        options.images = options.output / "pictures"
        write_pictures(options.images, options.per_class, options.data)
    pictures = load_folder(options.images, side=options.side, channels=options.channels)
    console.print(f"{len(pictures.paths)} pictures of {', '.join(pictures.classes)}")

    console.rule("[bold]features")
    encoder = nn.Flatten().eval() if options.pixels else efficientnet_features()
    cache = default_cache()
    exported = Encoder.from_torch(encoder, pictures.images, cache=cache)
    features = features_of(exported, pictures.images, "features", console=console, cache=cache, threads=2)
    learn, judge, judged = split(pictures, features)
    console.print(f"{features.shape[1]} features; {len(learn)} pictures to learn from, {len(judge)} to judge on")

    console.rule("[bold]learn all classes but the last, in a single pass")
    new = len(pictures.classes) - 1
    old = learn.part(learn.labels != new)
    parameters = replace(Parameters(), copies=options.copies).fitted(features.shape[1])
    head = ColanetHead(parameters, Scaling.of(old.features), seed=1)
    head.learn(old.features, old.labels)
    known = judge.part(judge.labels != new)
    console.print(f"accuracy on {new} classes: learned {head.accuracy(known.features, known.labels):.2%}")
    program = deploy(head, old.features[:CALIBRATION])
    console.print(
        f"frozen, integers on the emulator: {compiled_accuracy(program, head, known.features, known.labels):.2%}"
    )
    console.print(layers_table(program))

    console.rule(f"[bold]one class more: {pictures.classes[new]}")
    found = forgetting.add_classes(head, learn, judge, [new], rehearse=options.rehearse)
    console.print(
        f"old classes {found.before:.2%} before and {found.after:.2%} after; the new class {found.new:.2%}. "
        f"Each old class came up {options.rehearse} times among the new pictures."
    )
    head.save(options.output / "head.safetensors")  # learning can go on from here, in another process

    console.rule("[bold]deploy again: from pictures to labels")
    some = np.flatnonzero(~judged)[:CALIBRATION]
    program = deploy(head, pictures.images[some], encoder=encoder, options=Options(golden_samples=2))
    console.print(partition_table(program))
    images, labels = pictures.images[judged], pictures.labels[judged]
    console.print(f"emulator: {compiled_accuracy(program, head, images, labels):.2%} of {len(labels)} pictures")
    if options.lava:
        share = compiled_accuracy(program, head, images[:30], labels[:30], target="loihi2-sim")
        console.print(f"Lava: {share:.2%} of 30 pictures")
    program.save(options.output / "classifier.hsnn", overwrite=True)
    console.print(f"artifact: {options.output / 'classifier.hsnn'}")


def write_pictures(folder: Path, per_class: int, root: Path | None) -> None:
    """Write training images of Fashion-MNIST as PNG files, if they are not there yet."""
    from PIL import Image

    images = data.fashion("train", root=root)
    for label, name in enumerate(NAMES):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, index in enumerate(np.flatnonzero(images.labels == label)[:per_class]):
            path = folder / name / f"{number:04}.png"
            if not path.exists():
                Image.fromarray(np.rint(255 * images.images[index, 0]).astype(np.uint8)).save(path)


def split(pictures: Pictures, features: np.ndarray) -> tuple[Samples, Samples, np.ndarray]:
    """Return what is learned, mixed, and what is judged on, with a mask of the latter among the pictures."""
    judged = np.zeros(len(pictures.labels), bool)
    for label in range(len(pictures.classes)):
        judged[np.flatnonzero(pictures.labels == label)[::JUDGED]] = True
    samples = Samples(features, pictures.labels)
    return forgetting.shuffled(samples.part(~judged), 1), samples.part(judged), judged


def compiled_accuracy(
    program: hsnn.Program, head: ColanetHead, inputs: np.ndarray, labels: np.ndarray, *, target: str = "emulator"
) -> float:
    """Run a program and return the share that it classifies right."""
    with hsnn.Session(program, target=target) as session:
        votes = session.run(inputs).output
    return float((np.array(head.classes)[votes.argmax(axis=1)] == labels).mean())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder with a sub-folder of pictures for each class")
    parser.add_argument("--side", type=int, default=28, help="height and width pictures get (default: 28)")
    parser.add_argument("--channels", type=int, default=1, choices=(1, 3), help="1 for grey (default), 3 for colour")
    parser.add_argument("--per-class", type=int, default=60, help="pictures of Fashion-MNIST a class (default: 60)")
    parser.add_argument("--copies", type=int, default=15, help="copies of the head (default: 15)")
    parser.add_argument("--rehearse", type=int, default=REHEARSE, help=f"old samples a class (default: {REHEARSE})")
    parser.add_argument("--pixels", action="store_true", help="take pixels for features, without EfficientNet")
    parser.add_argument("--lava", action="store_true", help="run some pictures on Lava's simulation of Loihi 2 too")
    parser.add_argument("--data", type=Path, help="folder with the four files of Fashion-MNIST")
    parser.add_argument("--output", type=Path, default=Path("build/colanet"), help="folder for what is made")
    return parser


if __name__ == "__main__":
    sys.exit(main())
