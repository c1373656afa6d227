"""Samples per second of the compiled example models, host stages included."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from section import Column, Row, Section, Settings

TARGET = "emulator"


def models() -> dict[str, tuple[Callable[[], object], Callable[[str], object]]]:
    """Each model, and its data by split; imported late, since torch takes seconds."""
    from hsnn_models import data
    from hsnn_models.digits import digits
    from hsnn_models.fashion import fashion

    return {
        "digits": (lambda: digits(trained=True), data.digits),
        "fashion": (lambda: fashion(trained=True), data.fashion_subset),
    }


def measure(settings: Settings) -> Iterator[Row]:
    """One row for each model and batch; all batches take turns."""
    import hsnn

    batches = settings.batches or settings.by_size((4,), (1, 64), (1, 32, 256))
    for name, (factory, load) in models().items():
        if settings.networks and name not in settings.networks:
            continue
        settings.tell(f"program {name}")
        program = hsnn.compile(factory(), load("calibration").images)
        runs: dict[int, list] = {batch: [] for batch in batches}
        sessions = {batch: hsnn.Session(program, target=TARGET, batch_size=batch) for batch in batches}
        try:
            for turn in range(1 + settings.count(1, 5, 9)):
                for batch, session in sessions.items():
                    images = load("test").first(max(batch, 16 if settings.size == "tiny" else 256)).images
                    result = session.run(images[:64] if batch == 1 else images)
                    runs[batch] += [result] if turn else []
        finally:
            for session in sessions.values():
                session.close()
        for batch, done in runs.items():
            stages = {
                stage.name: float(np.median([1000 * sum(run.stages[place].seconds) / run.samples for run in done]))
                for place, stage in enumerate(done[0].stages)
            }
            yield {
                "model": name,
                "batch": batch,
                "samples_per_second": float(np.median([run.samples / run.seconds for run in done])),
                "stages_ms": stages,
                "stages": ", ".join(f"{stage} {value:.3f}" for stage, value in stages.items()),
            }


COLUMNS = (
    Column("model", "model"),
    Column("batch", "batch", "d"),
    Column("samples_per_second", "samples a second", ",.0f"),
    Column("stages", "stages, ms a sample"),
)
NOTES = """\
Whole programs in a session: host stages on ONNX Runtime, spiking stages on the emulator. Medians of runs.
"""
SECTION = Section("programs", "Compiled models", COLUMNS, measure, NOTES, sizes=("quick", "full"))
