"""The parameters of a CoLaNET head: unit, range and source of each, and presets.

Voltages, weights and resources share one arbitrary unit: only their ratios to the threshold matter. Times are in
timesteps.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Final

from hsnn.errors import UsageError

KNP: Final = "KasperskyLab/knp @ 70208e95, examples/mnist-learn"
ARNI: Final = "ArNI-X network files for CIFAR features, whose repository is not known"
OWN: Final = "own search on Fashion-MNIST features, validation part of the training split"
FEATURES: Final = 1280
"""Features that the defaults were found for."""
TIMESTEPS_MAX: Final = 64
"""Neurons of a frozen head are silent after their spike for as long as a presentation; Loihi counts to 64."""


def _number(low: float, high: float, *, unit: str, source: str, default: Any) -> Any:
    """Declare a parameter: its range, ends included, its unit and where its default comes from."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "unit": unit, "source": source})


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a head and its learning depend on, besides features and seed.

    Ranges are in the fields' metadata and are checked; ``Parameters.table()`` lists them.

    Attributes:
        microcolumns: Learning neurons of each class in each copy.
        copies: Independent copies whose votes are added.
        active: Timesteps in which a sample's features send spikes.
        wait: Timesteps without input between the last of these and the label.
        initial: What the sum of the rate code starts with; 0.5 rounds, 0 floors.
        threshold: Voltage at which a neuron spikes whose weights are all negative or zero.
        threshold_excess: Added to a neuron's threshold for each unit of its summed positive weights.
        weight_min: Weight of a synapse without resource; negative.
        weight_max: Weight that an unbounded resource would reach; positive.
        weight_start: Weight of all synapses of a new neuron, above ``weight_min``.
        anti_hebbian: Change of resource of a contributing synapse at an unforced spike; negative.
        dopamine: Change of resource of a contributing synapse at a reward; positive.
        window: A synapse contributes to a spike if it got one itself in so many timesteps, the spike's own included.
        silent_synapses: Synapses that are counted on top of the real ones where a change is shared out among all.
        stability_rate: Change of a neuron's stability for each unit of reward.
        isi_max: Timesteps between spikes of a sequence; a reward that comes so late stabilizes fully.
        noise: Largest random input to a neuron in a timestep while it learns; the mean is half of it.
        leak: Fraction of the voltage that is lost per timestep.
        floor: Whether voltages are held at 0 from below. Loihi's neurons have no floor.
    """

    microcolumns: int = _number(1, 256, unit="neurons", source=OWN, default=16)
    copies: int = _number(1, 256, unit="copies", source="arXiv 2606.20151", default=15)
    active: int = _number(1, 63, unit="timesteps", source=KNP, default=10)
    wait: int = _number(0, 32, unit="timesteps", source=KNP, default=1)
    initial: float = _number(0.0, 0.999, unit="spikes", source=OWN, default=0.5)
    threshold: float = _number(1e-3, 1e6, unit="voltage", source=OWN, default=13.85)
    threshold_excess: float = _number(0.0, 1e3, unit="voltage/weight", source=OWN, default=0.0035)
    weight_min: float = _number(-1e6, -1e-6, unit="voltage", source=OWN, default=-0.096)
    weight_max: float = _number(1e-6, 1e6, unit="voltage", source=OWN, default=0.033)
    weight_start: float = _number(-1e6, 1e6, unit="voltage", source=KNP, default=0.0)
    anti_hebbian: float = _number(-1e6, 0.0, unit="resource", source=OWN, default=-0.065)
    dopamine: float = _number(0.0, 1e6, unit="resource", source=OWN, default=0.084)
    window: int = _number(1, 64, unit="timesteps", source=ARNI, default=15)
    silent_synapses: float = _number(0.0, 1e6, unit="synapses", source=OWN, default=1.2)
    stability_rate: float = _number(0.0, 1e3, unit="1/resource", source=OWN, default=0.124)
    isi_max: int = _number(1, 64, unit="timesteps", source=KNP, default=10)
    noise: float = _number(0.0, 1e6, unit="voltage", source=OWN, default=2.4)
    leak: float = _number(0.0, 1.0, unit="1/timestep", source=OWN, default=0.026)
    floor: bool = dataclasses.field(default=False, metadata={"unit": "", "source": "hsnn: exact on Loihi"})

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if "low" in field.metadata:
                self._check(field)
        if self.timesteps > TIMESTEPS_MAX:
            raise _wrong("active + wait", self.timesteps, f"at most {TIMESTEPS_MAX}")
        if not self.weight_min < self.weight_start < self.weight_max:
            raise _wrong("weight_start", self.weight_start, f"between {self.weight_min} and {self.weight_max}")

    @property
    def timesteps(self) -> int:
        """Timesteps of a presentation, up to the label."""
        return self.active + self.wait

    @property
    def width(self) -> float:
        """Distance between the smallest and the largest weight."""
        return self.weight_max - self.weight_min

    def fitted(self, features: int) -> Parameters:
        """Return the parameters that do the same for another number of features than :data:`FEATURES`.

        With fewer features, each has to weigh more for the voltages to stay what they were: weights and changes of
        resources grow by one factor, the rate of stability and the number of silent synapses shrink by it.

        Args:
            features: Number of features, at least 1.

        Raises:
            UsageError: ``HSNN-U223``, if a parameter would leave its range.
        """
        if features < 1:
            raise _wrong("features", features, "at least 1")
        factor = FEATURES / features
        grown = ("weight_min", "weight_max", "weight_start", "anti_hebbian", "dopamine")
        shrunk = ("stability_rate", "silent_synapses")
        changes = {name: getattr(self, name) * factor for name in grown}
        return dataclasses.replace(self, **changes, **{name: getattr(self, name) / factor for name in shrunk})

    @classmethod
    def from_json(cls, content: Any) -> Parameters:
        """Return the parameters that `to_json` described.

        Raises:
            UsageError: ``HSNN-U223``, if there are others, or one is out of range.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(content, dict) or set(content) != names:
            raise _wrong("parameters", content, ", ".join(sorted(names)))
        return cls(**content)

    def to_json(self) -> dict[str, float | int | bool]:
        """Return all values by name."""
        return dataclasses.asdict(self)

    def table(self) -> list[tuple[str, str, str, str]]:
        """Return name, value, range with unit, and source of each parameter."""
        rows = []
        for field in dataclasses.fields(self):
            told = field.metadata
            limits = f"{told['low']:g} to {told['high']:g} {told['unit']}" if "low" in told else "true or false"
            rows.append((field.name, f"{getattr(self, field.name):g}", limits.strip(), told["source"]))
        return rows

    def _check(self, field: dataclasses.Field[Any]) -> None:
        value, low, high = getattr(self, field.name), field.metadata["low"], field.metadata["high"]
        kind = (int,) if field.type == "int" else (int, float)
        number = isinstance(value, kind) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not low <= value <= high:
            what = "a whole number" if field.type == "int" else "a number"
            raise _wrong(field.name, value, f"{what}, {low:g} to {high:g}")


def preset(name: str) -> Parameters:
    """Return a set of parameters by name.

    Raises:
        UsageError: ``HSNN-U223``, if there is none of that name.
    """
    if name not in PRESETS:
        raise _wrong("preset", name, ", ".join(PRESETS))
    return PRESETS[name]


def _wrong(name: str, value: Any, allowed: str) -> UsageError:
    return UsageError("HSNN-U223", f"{name} of a CoLaNET head is {value!r}", allowed=allowed)


PRESETS: Final[dict[str, Parameters]] = {
    # The defaults.
    "features": Parameters(),
    # BLIFAT form of KNP's example: 20 neurons a class, one copy. KNP stores its noise and never uses it, and never
    # renormalises, as its resource threshold is left at infinity; both are used here.
    "knp_mnist": Parameters(
        microcolumns=20,
        copies=1,
        initial=0.0,
        threshold=8.571,
        threshold_excess=0.218,
        weight_min=-0.253,
        weight_max=0.0924,
        anti_hebbian=-0.177,
        dopamine=0.18,
        window=10,
        silent_synapses=27.0,
        stability_rate=0.05,
        noise=2.212,
        leak=1 / 3,
        floor=True,
    ),
    "arni_linearized": Parameters(
        microcolumns=13,
        initial=0.0,
        threshold=8.531,
        threshold_excess=0.00936,
        weight_min=-1.634,
        weight_max=2.088,
        anti_hebbian=-0.412,
        dopamine=0.906,
        silent_synapses=2.0,
        stability_rate=0.00656,
        noise=0.115,
        leak=0.2,
        floor=True,
    ),
    "arni_smooth": Parameters(
        microcolumns=7,
        initial=0.0,
        threshold=8.531,
        threshold_excess=0.00107,
        weight_min=-1.634,
        weight_max=1.714,
        # Resource 3.192 by the formula of weights.
        weight_start=-1.634 + 3.348 * 3.192 / (3.348 + 3.192),
        anti_hebbian=-0.114,
        dopamine=0.2265,
        silent_synapses=9.0,
        stability_rate=0.159,
        noise=0.626,
        leak=0.2,
        floor=True,
    ),
}
