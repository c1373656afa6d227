"""What a CoLaNET head reaches, and what other classifiers reach: ``python -m hsnn_models.colanet.evaluate``.

Parameters are those of the preset, which were found on validation samples; test samples are used for the figures alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from hsnn.errors import HsnnError, UsageError
from hsnn_models.colanet import baselines, forgetting, tasks
from hsnn_models.colanet.figures import REHEARSE, Report, Speed, Spread, insert, markdown, table_of
from hsnn_models.colanet.head import ColanetHead
from hsnn_models.colanet.parameters import PRESETS, Parameters, preset
from hsnn_models.colanet.scaling import CENTRE, QUANTILE, Scaling
from hsnn_models.colanet.tasks import Samples, Task

PASSES: Final = 3
SEEDS: Final = 3
REFERENCE_SAMPLES: Final = 4
SPEED_SAMPLES: Final = 500


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """One evaluation.

    Attributes:
        task: Samples.
        parameters: Of the head.
        seeds: Number of seeds; each has its own order of the training samples, too.
        passes: Passes over the training samples of the way that has several.
        threads: Copies that learn at the same time.
        console: Where progress is shown.
    """

    task: Task
    parameters: Parameters
    seeds: int
    passes: int
    threads: int
    console: Console

    def run(self, *, freeze: bool) -> tuple[Report, ColanetHead]:
        """Measure everything; return it with the head of the first seed.

        Raises:
            HsnnError: If a part is missing, or the head cannot be compiled.
        """
        single, several, alone, sorted_ = [], [], [], []
        first: ColanetHead | None = None
        for seed in range(self.seeds):
            train = forgetting.shuffled(self.task.train, seed)
            head = self._learned(train, seed, f"seed {seed}, pass 1")
            first = first or head
            single.append(self._accuracy(head))
            more = self._again(head, seed)
            several.append(self._accuracy(more))
            one = replace(self.parameters, copies=1)
            alone.append(self._accuracy(self._learned(train, seed, f"seed {seed}, one copy", one)))
            ordered = self._learned(forgetting.by_class(train), seed, f"seed {seed}, class after class")
            sorted_.append(self._accuracy(ordered))
        if first is None:
            raise UsageError(
                "HSNN-U111", "an evaluation needs at least one seed", fix="ask for one or more with --seeds"
            )
        copies = self.parameters.copies
        report = Report(
            task=self.task.name,
            train=len(self.task.train),
            test=len(self.task.test),
            heads=(
                Spread(f"CoLaNET, {copies} copies, single pass", tuple(single)),
                Spread(f"CoLaNET, {copies} copies, {self.passes} passes", tuple(several)),
                Spread("CoLaNET, 1 copy, single pass", tuple(alone)),
                Spread(f"CoLaNET, {copies} copies, single pass, class after class", tuple(sorted_)),
            ),
            baselines=baselines.measure(self.task, self._tell),
            speed=self._speed(first),
            added=self._added(),
            frozen=self._frozen(first) if freeze else None,
        )
        return report, first

    def _learned(self, train: Samples, seed: int, title: str, parameters: Parameters | None = None) -> ColanetHead:
        head = ColanetHead(parameters or self.parameters, self._scaling(), seed=seed)
        head.add_classes(np.unique(self.task.train.labels).tolist())
        self._learn(head, train, title)
        return head

    def _again(self, head: ColanetHead, seed: int) -> ColanetHead:
        """Return a copy of a head that has gone on for the other passes, each in an order of its own."""
        more = ColanetHead(head.parameters, head.scaling, seed=head.seed, classes=head.classes)
        more.state = head.state.copy()
        for number in range(1, self.passes):
            train = forgetting.shuffled(self.task.train, seed + 1000 * number)
            self._learn(more, train, f"seed {seed}, pass {number + 1}")
        return more

    def _learn(self, head: ColanetHead, train: Samples, title: str) -> None:
        self._tell(title)
        with tasks.bar(self.console) as progress:
            line = progress.add_task(title, total=len(train))
            head.learn(
                train.features,
                train.labels,
                threads=self.threads,
                progress=lambda done, total: progress.update(line, completed=done, total=total),
            )

    def _scaling(self) -> Scaling:
        return Scaling.of(self.task.train.features, quantile=QUANTILE, centre=CENTRE)

    def _accuracy(self, head: ColanetHead) -> float:
        return head.accuracy(self.task.test.features, self.task.test.labels, threads=self.threads)

    def _speed(self, head: ColanetHead) -> Speed:
        self._tell("samples a second")
        some = self.task.train.part(slice(0, SPEED_SAMPLES))
        work = ColanetHead(head.parameters, head.scaling, seed=head.seed, classes=head.classes)
        work.state = head.state.copy()
        few = some.part(slice(0, REFERENCE_SAMPLES))
        rates = []
        for _ in range(3):
            learned = _seconds(lambda: work.learn(some.features, some.labels)) / len(some)
            slowly = _seconds(lambda: work.learn(few.features, few.labels, engine="reference")) / len(few)
            answered = _seconds(lambda: work.votes(some.features)) / len(some)
            rates.append((1 / learned, 1 / slowly, 1 / answered))
        return Speed(*(float(value) for value in np.median(rates, axis=0)))

    def _added(self) -> tuple[forgetting.Forgetting, forgetting.Forgetting]:
        """Learn all classes but the last, then the last, without and with rehearsal."""
        labels = self.task.train.labels
        new = int(labels.max())
        train = forgetting.shuffled(self.task.train, 0)
        found = []
        for rehearse in (0, REHEARSE):
            head = ColanetHead(self.parameters, self._scaling(), seed=0)
            self._learn(head, train.part(train.labels != new), "all classes but the last")
            self._tell(f"the last class, {rehearse} samples of each other class among its own")
            found.append(
                forgetting.add_classes(head, train, self.task.test, [new], rehearse=rehearse, threads=self.threads)
            )
        return found[0], found[1]

    def _frozen(self, head: ColanetHead) -> tuple[float, float]:
        import hsnn
        from hsnn_models.colanet.deploy import deploy

        self._tell("integers on the emulator")
        program = deploy(head, self.task.train.features[:128])
        with hsnn.Session(program, target="emulator") as session:
            votes = session.run(self.task.test.features).output
        right = np.array(head.classes)[votes.argmax(axis=1)] == self.task.test.labels
        return self._accuracy(head), float(right.mean())

    def _tell(self, text: str) -> None:
        if not self.console.is_terminal:
            self.console.print(text, markup=False, highlight=False)


def main(arguments: list[str] | None = None) -> int:
    """Evaluate, print the figures, and return the exit status."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        task = tasks.load(options.task, train=options.train, test=options.test, root=options.data, console=console)
        parameters = preset(options.preset)
        if options.preset == "features":
            parameters = parameters.fitted(task.train.features.shape[1])
        evaluation = Evaluation(task, parameters, options.seeds, options.passes, options.threads, console)
        report, head = evaluation.run(freeze=not options.no_freeze)
        if options.save_head is not None:
            from hsnn_models.colanet.deploy import FrozenHead

            FrozenHead.of(head).save(options.save_head)
        if options.markdown is not None:
            insert(options.markdown, markdown(report))
    except HsnnError as error:
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return error.exit_status
    if options.json:
        sys.stdout.write(json.dumps(asdict(report), indent=2) + "\n")
    else:
        Console().print(table_of(report))
        sys.stdout.write(markdown(report).split("\n\n", 2)[-1] + "\n")
    return 0


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hsnn_models.colanet.evaluate", description="What a CoLaNET head reaches, and others."
    )
    parser.add_argument("--task", default="fashion", help="fashion (default), digits, or an .npz file of features")
    parser.add_argument("--train", type=int, default=tasks.TRAIN, help="training samples (default: 10000)")
    parser.add_argument("--test", type=int, default=tasks.TEST, help="test samples (default: 2000)")
    parser.add_argument("--preset", default="features", help=f"{', '.join(PRESETS)} (default: features)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"number of seeds (default: {SEEDS})")
    parser.add_argument("--passes", type=int, default=PASSES, help=f"passes, where several (default: {PASSES})")
    parser.add_argument("--threads", type=int, default=2, help="threads that learn (default: 2)")
    parser.add_argument("--data", type=Path, help="folder with the four files of Fashion-MNIST")
    parser.add_argument("--no-freeze", action="store_true", help="do not compile the head")
    parser.add_argument("--save-head", type=Path, help="write the frozen head of the first seed")
    parser.add_argument("--markdown", type=Path, help="put the figures into this page")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
