"""Search for good parameters of a head: ``python -m hsnn_models.colanet.tune``.

Trials learn from one part of the training samples and are judged on another; test samples are never seen. The search
is kept in an SQLite file after every trial: an interrupted one goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from rich.console import Console

from hsnn.errors import HsnnError, UsageError
from hsnn_models.colanet import tasks
from hsnn_models.colanet.head import ColanetHead
from hsnn_models.colanet.parameters import Parameters
from hsnn_models.colanet.scaling import Scaling
from hsnn_models.colanet.tasks import Samples

COPIES: Final = 5
"""Copies in a trial; more only average what one does, and take longer."""
SEED: Final = 1
STARTUP: Final = 10
"""Random trials before the search follows what it has found."""


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """What one trial tries.

    Attributes:
        parameters: Of the head.
        quantile: See `Scaling.of`.
        centre: See `Scaling.of`.
    """

    parameters: Parameters
    quantile: float
    centre: float


START: Final = {
    "quantile": 0.9,
    "centre": 0.5,
    "microcolumns": 16,
    "threshold": 13.85,
    "dopamine": 0.084,
    "punishment": 0.773,
    "threshold_excess": 0.0035,
    "silent_synapses": 1.2,
    "stability_rate": 0.124,
    "noise": 2.4,
    "leak": 0.026,
    "weight_low": 0.096,
    "weight_max": 0.033,
}


def suggest(trial: Any) -> Choice:
    """Return what a trial of Optuna tries; ranges are around the published values."""
    dopamine = trial.suggest_float("dopamine", 0.01, 1.0, log=True)
    parameters = Parameters(
        copies=COPIES,
        microcolumns=trial.suggest_int("microcolumns", 2, 24),
        threshold=trial.suggest_float("threshold", 2.0, 60.0, log=True),
        threshold_excess=trial.suggest_float("threshold_excess", 1e-4, 1.0, log=True),
        weight_min=-trial.suggest_float("weight_low", 0.02, 2.0, log=True),
        weight_max=trial.suggest_float("weight_max", 0.01, 2.0, log=True),
        dopamine=dopamine,
        anti_hebbian=-dopamine * trial.suggest_float("punishment", 0.4, 1.3),
        silent_synapses=trial.suggest_float("silent_synapses", 0.5, 3000.0, log=True),
        stability_rate=trial.suggest_float("stability_rate", 1e-3, 2.0, log=True),
        noise=trial.suggest_float("noise", 0.02, 8.0, log=True),
        leak=trial.suggest_float("leak", 0.0, 0.1),
    )
    return Choice(
        parameters,
        quantile=trial.suggest_float("quantile", 0.8, 0.995),
        centre=trial.suggest_float("centre", 0.0, 1.5),
    )


def judge(choice: Choice, learn: Samples, validation: Samples, *, threads: int) -> float:
    """Return the share of validation samples that is right after a single pass over the others."""
    scaling = Scaling.of(learn.features, quantile=choice.quantile, centre=choice.centre)
    head = ColanetHead(choice.parameters, scaling, seed=SEED)
    head.learn(learn.features, learn.labels, threads=threads)
    return head.accuracy(validation.features, validation.labels, threads=threads)


def search(
    learn: Samples, validation: Samples, *, trials: int, storage: Path, study: str, console: Console, threads: int = 1
) -> Any:
    """Search until there are so many finished trials.

    Args:
        learn: Samples to learn from.
        validation: Samples to judge on.
        trials: Number of finished trials, those of earlier runs included.
        storage: SQLite file; made if need be.
        study: Name of the search in that file.
        console: Where progress is shown.
        threads: Copies that learn at the same time.

    Returns:
        Optuna's study.

    Raises:
        UsageError: ``HSNN-U227``, if Optuna is not installed.
    """
    optuna = _optuna()
    storage.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls the multivariate sampler experimental
        found = optuna.create_study(
            study_name=study,
            storage=f"sqlite:///{storage}",
            load_if_exists=True,
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=SEED, multivariate=True, n_startup_trials=STARTUP),
        )
    if not found.trials:
        found.enqueue_trial(START)

    def objective(trial: Any) -> float:
        return judge(suggest(trial), learn, validation, threads=threads)

    with tasks.bar(console) as progress:
        line = progress.add_task("trials", total=trials)
        while (done := _finished(found)) < trials:
            found.optimize(objective, n_trials=1, catch=())
            best = f"best {found.best_value:.2%}"
            progress.update(line, completed=done + 1, description=best)
            if not console.is_terminal:
                console.print(f"trial {done + 1} of {trials}: {found.trials[-1].value:.2%}, {best}")
    return found


def best_of(study: Any) -> Choice:
    """Return what the best trial of a search tried, with the copies of the defaults."""
    choice = suggest(_optuna().trial.FixedTrial(study.best_params))
    return dataclasses.replace(choice, parameters=dataclasses.replace(choice.parameters, copies=Parameters().copies))


def main(arguments: list[str] | None = None) -> int:
    """Search, print the best parameters as JSON, and return the exit status."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        task = tasks.load(options.task, train=options.train, test=1, root=options.data, console=console)
        learn, validation = task.validation()
        study = search(
            learn,
            validation,
            trials=options.trials,
            storage=options.storage,
            study=f"{options.task} {len(learn)}+{len(validation)}",
            console=console,
            threads=options.threads,
        )
    except HsnnError as error:
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return error.exit_status
    choice = best_of(study)
    told = {"validation_accuracy": study.best_value, "quantile": choice.quantile, "centre": choice.centre}
    sys.stdout.write(json.dumps({**told, "parameters": choice.parameters.to_json()}, indent=2) + "\n")
    return 0


def _finished(study: Any) -> int:
    return sum(trial.state.name == "COMPLETE" for trial in study.trials)


def _optuna() -> ModuleType:
    try:
        import optuna
    except ImportError as error:
        raise UsageError(
            "HSNN-U227", "the search needs Optuna, which is not installed", fix="pip install 'hsnn[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    module: ModuleType = optuna
    return module


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hsnn_models.colanet.tune", description="Search for good parameters of a CoLaNET head."
    )
    parser.add_argument("--task", default="fashion", help="fashion, digits, or an .npz file of features")
    parser.add_argument("--train", type=int, default=tasks.TRAIN, help="training samples, a fifth for validation")
    parser.add_argument("--trials", type=int, default=60, help="finished trials, earlier runs included (default: 60)")
    parser.add_argument("--storage", type=Path, default=Path("build/colanet/tune.sqlite"), help="where it is kept")
    parser.add_argument("--data", type=Path, help="folder with the four files of Fashion-MNIST")
    parser.add_argument("--threads", type=int, default=1, help="threads that learn (default: 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
