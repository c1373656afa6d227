"""Other classifiers on the same features, to compare with: logistic regression, nearest neighbours, ridge.

Each has one parameter, chosen on the validation part of the training samples, and then learns all of them. Features are
standardized with the mean and deviation of what is learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hsnn.errors import UsageError
from hsnn_models.colanet.tasks import Samples, Task


@dataclass(frozen=True, slots=True)
class Baseline:
    """How one of them did.

    Attributes:
        name: Which.
        parameter: What was chosen on validation samples.
        validation: Share of these that was right.
        test: Share of test samples that is right.
    """

    name: str
    parameter: str
    validation: float
    test: float


GRIDS: Final[Mapping[str, tuple[float, ...]]] = {
    "logistic regression": (1e-3, 3e-3, 1e-2),
    "nearest neighbours": (3, 5, 10, 20),
    "ridge": (100.0, 1000.0, 5000.0, 20000.0),
}
"""Inverse penalty, number of neighbours, penalty."""


def measure(task: Task, tell: Callable[[str], None]) -> tuple[Baseline, ...]:
    """Measure all of them.

    Args:
        task: Samples.
        tell: Told what is being measured.

    Raises:
        UsageError: ``HSNN-U202``, if scikit-learn is not installed.
    """
    learn, validation = task.validation()
    found = []
    for name, grid in GRIDS.items():
        shares = []
        for value in grid:
            tell(f"{name}, {value:g}")
            shares.append(_accuracy(name, value, learn, validation))
        best = grid[shares.index(max(shares))]
        found.append(Baseline(name, f"{best:g}", max(shares), _accuracy(name, best, task.train, task.test)))
    return tuple(found)


def _accuracy(name: str, value: float, learn: Samples, judge: Samples) -> float:
    model = _model(name, value)
    model.fit(learn.features, learn.labels)
    return float(model.score(judge.features, judge.labels))


def _model(name: str, value: float) -> Any:
    try:
        from sklearn.linear_model import LogisticRegression, RidgeClassifier
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise UsageError(
            "HSNN-U202", "the comparison needs scikit-learn, which is not installed", fix="pip install scikit-learn"
        ) from error
    if name == "ridge":
        chosen = RidgeClassifier(alpha=value)
    elif name == "nearest neighbours":
        chosen = KNeighborsClassifier(n_neighbors=int(value))
    else:
        chosen = LogisticRegression(C=value, max_iter=500, tol=1e-3)
    return make_pipeline(StandardScaler(), chosen)
