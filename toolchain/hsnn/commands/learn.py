"""``hsnn-compile learn``: teach an artifact with labelled samples and write what it has become."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsnn.commands import options, values

if TYPE_CHECKING:
    from hsnn.commands.console import Console
    from hsnn.program import Json
    from hsnn.runtime.lessons import Lesson

USAGE = "learn ARTIFACT --input FILE --labels FILE -o PATH [options]"
HELP = "teach an artifact that learns with labelled samples"
DESCRIPTION = """\
Teach an artifact whose synapses learn: samples go through one by one, in order, each with its label, and the artifact
with the learned weights is written. It goes on exactly from there, in the next lesson too. Label -1 teaches nothing.
"""
EPILOG = """\
examples:
  hsnn-compile learn head.hsnn --input train.npz --label-key labels -o learned.hsnn
  hsnn-compile learn learned.hsnn --input new_class.npy --labels new_labels.npy -o more.hsnn --target loihi2-sim
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    group = parser.add_argument_group("what to teach")
    options.add_artifact(group, "a folder or .zip with synapses that learn")
    options.add_input(group, required=True)
    group.add_argument("--labels", metavar="FILE", help="an .npy or .npz with the class number of each sample")
    group.add_argument("--label-key", metavar="NAME", help="array with the labels, in --labels or else in --input")
    group.add_argument("--samples", type=values.positive, metavar="N", help="teach the first N samples only")
    group.add_argument(
        "-o", "--output", required=True, metavar="PATH", help="folder to write, or one file if it ends in .zip"
    )
    group.add_argument("--force", action="store_true", help="replace an artifact that is there")
    how = parser.add_argument_group("how to teach it")
    how.add_argument("--target", default="emulator", help="where it learns (default emulator): see docs/learning.md")
    options.add_host(how)
    options.add_timeout(how)


def run(args: argparse.Namespace, console: Console) -> int:
    """Teach, save and report; nothing is written unless every sample was learned."""
    from hsnn.artifact import load
    from hsnn.commands.files import check_free, require_file
    from hsnn.runtime.lessons import teach

    start = time.perf_counter()
    path = Path(args.output)
    check_free(path, force=args.force)
    for name in ("input", "labels"):
        require_file(getattr(args, name), name)
    program = load(args.artifact)
    inputs, labels = _load(args, program)
    finished = 0
    with console.progress() as progress:

        def advance(samples: int) -> None:
            nonlocal finished
            finished += samples
            progress(f"learning on {args.target}", finished, labels.size)

        advance(0)
        lesson = teach(
            program, inputs, labels, target=args.target, host=args.host, timeout=args.timeout, progress=advance
        )
        lesson.program.save(path, overwrite=args.force)
    result: dict[str, Json] = {
        "verb": "learn",
        "artifact": args.artifact,
        "output": str(path),
        "target": args.target,
        "seconds": time.perf_counter() - start,
        **describe(lesson),
    }
    console.result(result, lambda: render(result))
    console.hint(f"next: hsnn-compile run {path} --input test.npz --label-key labels")
    return 0


def _load(args: argparse.Namespace, program: Any) -> tuple[Mapping[str, Any], Any]:
    """Read samples and labels.

    Raises:
        UsageError: HSNN-U126 without labels; see also :mod:`hsnn.commands.arrays`.
    """
    from hsnn.commands.arrays import load_arrays, select_inputs
    from hsnn.errors import UsageError
    from hsnn.runtime.inputs import check_inputs, sample_count, take_samples

    if args.labels is None and args.label_key is None:
        raise UsageError("HSNN-U126", "there are no labels", fix="name them with --labels or --label-key")
    arrays = load_arrays(args.input, "input")
    inside = args.label_key if args.labels is None else None
    names = [value.name for value in program.inputs]
    chosen = select_inputs(arrays, names, path=args.input, what="input", ignore=() if inside is None else (inside,))
    inputs = check_inputs(chosen, program.inputs)
    count = sample_count(inputs, program.inputs) or 1
    labels = _labels(args, arrays, count)
    stop = min(count, args.samples or count)
    return take_samples(inputs, program.inputs, start=0, stop=stop), labels[:stop]


def _labels(args: argparse.Namespace, arrays: Mapping[str, Any], count: int) -> Any:
    """The labels; their values are checked where they are taught."""
    from hsnn.commands.arrays import load_arrays
    from hsnn.errors import UsageError

    held = arrays if args.labels is None else load_arrays(args.labels, "label")
    where = args.input if args.labels is None else args.labels
    key: str | None = args.label_key
    if key is None and len(held) == 1:
        key = next(iter(held))
    if key is None or key not in held:
        raise UsageError(
            "HSNN-U126",
            f"{where!r} has no array of labels {key!r}" if key else f"{where!r} has several arrays",
            allowed=", ".join(sorted(held)),
            fix="name the labels with --label-key",
        )
    labels = held[key]
    if labels.ndim != 1 or labels.size != count:
        raise UsageError(
            "HSNN-U125",
            f"labels have shape {labels.shape} for {count} samples",
            allowed=f"({count},)",
            fix="save samples and labels together, from the same split",
        )
    return labels


def describe(lesson: Lesson) -> dict[str, Json]:
    """What a lesson tells, as plain values."""
    import numpy as np

    labelled = lesson.labels >= 0
    classes = np.unique(lesson.labels[labelled])
    return {
        "samples": int(lesson.labels.size),
        "labelled": int(np.count_nonzero(labelled)),
        "known_before": lesson.right,
        "unanswered": int(np.count_nonzero(labelled & (lesson.answers < 0))),
        "classes": [int(number) for number in classes],
        "weights_changed": dict(lesson.changed),
    }


def render(result: Mapping[str, Any]) -> Iterator[object]:
    """Show a lesson to people."""
    classes = ", ".join(map(str, result["classes"])) or "unknown"
    yield f"{result['samples']} samples of classes {classes} on {result['target']}"
    yield (
        f"{result['known_before']} of {result['labelled']} were known before their label came, "
        f"{result['unanswered']} got no answer"
    )
    for name, share in result["weights_changed"].items():
        yield f"{share:.1%} of the weights of {name} changed"
    yield f"wrote {result['output']} in {result['seconds']:.1f} s"
