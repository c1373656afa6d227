"""Compile a trained hybrid network, prove every step, and run it on the host and simulated Loihi together.

Run it with ``make demo``. It compiles the network ``digits``, climbs the verify ladder, classifies the whole
test split on the emulator and part of it on Lava's simulation of Loihi 2, and leaves the compiled program
and its report in ``build/demo``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import hsnn
from hsnn.report.html import render
from hsnn.report.text import cuts_table, layers_table, mapping_table, partition_table, verify_table
from hsnn.runtime.metrics import accuracy
from hsnn.verify.ladder import verify
from hsnn_models import data
from hsnn_models.digits import digits

LAVA_SAMPLES = 60


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration; return 0 if every rung of the ladder holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("build/demo"), help="folder for the artifact and report")
    parser.add_argument("--lava-samples", type=int, default=LAVA_SAMPLES, help="test images to run on Lava")
    options = parser.parse_args(arguments)
    console = Console()
    started = time.perf_counter()

    model = digits(trained=True)
    calibration, test = data.digits("calibration"), data.digits("test")

    console.rule("[bold]compile")
    program = hsnn.compile(model, calibration.images, source="hsnn_models.digits:digits", progress=_tell(console))
    for table in (partition_table(program), cuts_table(program), layers_table(program), mapping_table(program)):
        console.print(table)

    console.rule("[bold]prove")
    samples = {program.inputs[0].name: test.images[: options.lava_samples]}
    report = verify(program, model=model, samples=samples, target="loihi2-sim", progress=_tell(console))
    console.print(verify_table(report))

    console.rule("[bold]run")
    with torch.no_grad():
        logits = model(torch.from_numpy(test.images)).numpy()
    results = [("torch (float)", len(test.labels), accuracy(logits, test.labels), float("nan"))]
    for target, count in (("emulator", len(test.labels)), ("loihi2-sim", options.lava_samples)):
        results.append(_run(program, target, test.images[:count], test.labels[:count]))
    console.print(_accuracy_table(results))

    options.output.mkdir(parents=True, exist_ok=True)
    artifact, page = options.output / "digits.hsnn", options.output / "report.html"
    program.save(artifact, overwrite=True)
    page.write_text(render(program, verify=report), encoding="utf-8")
    console.print(f"artifact: {artifact}\nreport:   {page}\ndone in {time.perf_counter() - started:.0f} s")
    return 0 if report.passed else 5


def _run(program: hsnn.Program, target: str, images: np.ndarray, labels: np.ndarray) -> tuple[str, int, float, float]:
    """Classify images by host and target together."""
    with hsnn.Session(program, target=target) as session:
        result = session.run(images)
    return f"ONNX Runtime + {target}", len(labels), accuracy(result.output, labels), result.seconds / len(labels)


def _accuracy_table(results: list[tuple[str, int, float, float]]) -> Table:
    table = Table("where", "images", "accuracy", "ms per image", title="Accuracy on test images")
    for where, images, share, seconds in results:
        time_taken = "" if np.isnan(seconds) else f"{1000 * seconds:.3g}"
        table.add_row(where, str(images), f"{share:.2%}", time_taken)
    return table


def _tell(console: Console):  # noqa: ANN202
    """Return a progress callback that names each stage once."""
    seen: set[str] = set()

    def tell(stage: str, done: int, total: int) -> None:
        if stage not in seen:
            seen.add(stage)
            console.print(f"[dim]· {stage}")

    return tell


if __name__ == "__main__":
    sys.exit(main())
