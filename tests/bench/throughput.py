"""Samples per second of the compiled example models, for `make bench`: ``throughput.py [--target NAME] [--json]``.

Each figure is the best of several runs, after one that is not counted. Compare figures of one machine only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

import hsnn
from hsnn_models import data
from hsnn_models.digits import digits
from hsnn_models.fashion import fashion

MODELS: dict[str, tuple[Callable[..., object], Callable[..., data.Images]]] = {
    "digits": (digits, data.digits),
    "fashion": (fashion, data.fashion_subset),
}


def measure(name: str, *, target: str, batch: int, samples: int, repeats: int) -> dict[str, object]:
    """Return the best throughput of one model."""
    factory, load = MODELS[name]
    program = hsnn.compile(factory(trained=True), load("calibration").images)
    images = load("test").first(samples).images
    with hsnn.Session(program, target=target, batch_size=batch) as session:
        session.run(images[:batch])
        runs = [session.run(images) for _ in range(repeats)]
    best = min(runs, key=lambda run: run.seconds)
    return {
        "model": name,
        "target": target,
        "batch": batch,
        "samples": best.samples,
        "samples_per_second": best.samples / best.seconds,
        "stages_ms": {stage.name: 1000 * sum(stage.seconds) / best.samples for stage in best.stages},
    }


def main() -> int:
    """Measure every model and print a table or JSON."""
    parser = argparse.ArgumentParser(description="Samples per second of the compiled example models.")
    parser.add_argument("--target", default="emulator", help="where spiking parts run (default: emulator)")
    parser.add_argument("--batch", type=int, default=64, help="samples that go through a stage at once (default: 64)")
    parser.add_argument("--samples", type=int, default=500, help="samples a run (default: 500)")
    parser.add_argument("--repeats", type=int, default=3, help="runs that are counted (default: 3)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    rows = [
        measure(name, target=options.target, batch=options.batch, samples=options.samples, repeats=options.repeats)
        for name in MODELS
    ]
    if options.json:
        sys.stdout.write(json.dumps({"cores": os.cpu_count(), "models": rows}, indent=2) + "\n")
        return 0
    table = Table("model", "target", "batch", "samples/s", "stage: ms a sample", title=f"{os.cpu_count()} cores")
    for row in rows:
        stages = ", ".join(f"{name}: {value:.3f}" for name, value in row["stages_ms"].items())
        table.add_row(row["model"], row["target"], str(row["batch"]), f"{row['samples_per_second']:.0f}", stages)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
