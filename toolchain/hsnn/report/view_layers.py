"""What quantization costs, layer by layer, from the JSON records of :mod:`hsnn.report.layers`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from hsnn.report.cells import NOTHING, Cell, Column, Level, Table, decimal, integer, number, percent, visible

if TYPE_CHECKING:
    from hsnn.program import Json, Program
    from hsnn.report.layers import Limits


@dataclass(frozen=True, slots=True)
class Layer:
    """Numbers of one population; None where there is none to tell.

    Attributes:
        name: Population.
        stage: Chip stage that it is in, or an empty string.
        neurons: Number of neurons.
        exponents: Weight exponents of the projections that end here.
        scale: Integer voltage units per unit of the model's voltage.
        snr_db: Worst signal to noise ratio of the weights, in decibels.
        exact: Whether rounding changed no weight.
        spikes: More spikes of the float and the integer run.
        float_rate, integer_rate: Spikes per neuron and timestep.
        rate_error: Difference of the rates relative to float.
        f1: Agreement of single spikes, 0 to 1.
        voltage_error: Relative root mean square error of a read-out voltage.
        lost: Share of state updates that left 24 bits.
        newly_dead: Neurons that spike in float only, and more than once or twice.
        dead: Neurons that never spike.
    """

    name: str
    stage: str
    neurons: int
    exponents: tuple[int, ...]
    scale: float | None
    snr_db: float | None
    exact: bool
    spikes: float
    float_rate: float | None
    integer_rate: float | None
    rate_error: float | None
    f1: float | None
    voltage_error: float | None
    lost: float
    newly_dead: float | None
    dead: float | None


def layers(program: Program) -> Table:
    """What quantization costs; what is beyond the limits of the build is ``bad``."""
    records = layer_records(program)
    limits = limits_of(program)
    judged = f"F1 ≥ {limits.min_f1:g}, rate error ≤ {100 * limits.max_rate_error:g}%"
    others = (
        f"voltage error ≤ {100 * limits.max_voltage_error:g}%, "
        f"lost ≤ {100 * limits.max_saturation:g}%, newly dead ≤ {100 * limits.max_dead:g}%"
    )
    scaled = any(record.scale is not None for record in records)
    return Table(
        "Layers: integers against floats",
        (
            Column("Layer", "Population of neurons", code=True),
            Column("Neurons", number=True, minor=2),
            *([Column("Scale", "Integer voltage units per unit of the model's voltage", True, minor=4)] * scaled),
            Column("Exp", "Weight exponents: weights are shifted left by so many bits", number=True, minor=3),
            Column("SNR dB", "Weights over what rounding changes in them; worst projection", number=True, minor=1),
            Column("Rate float", "Spikes per neuron and timestep in float", number=True),
            Column("Rate int", "Spikes per neuron and timestep in integers", number=True),
            Column("Rate error", "Difference of the rates relative to float", number=True),
            Column("F1", "Agreement of single spikes in the same timestep; 1 is best", number=True),
            Column("Volt error", "Relative RMS error of a read-out's voltage", number=True),
            Column("Lost", "Share of updates in which a state saturated or wrapped at 24 bits", number=True),
            Column("Dead", "Neurons that never spike, and + those that only do in float", number=True),
        ),
        tuple(_row(record, limits, scaled=scaled) for record in records),
        f"limits of this build: {judged}, {others}" if records else "",
        empty="no layer was compared",
    )


def layer_records(program: Program) -> tuple[Layer, ...]:
    """Read the layer reports of a program."""
    networks = {stage.name: stage.network for stage in program.chip_stages}
    found = []
    for record in program.layers:
        stage, population = record.get("segment"), record.get("population")
        network = networks.get(stage) if isinstance(stage, str) else None
        links = network.into(str(population)) if network else ()
        found.append(_read(record, tuple(dict.fromkeys(link.weight_exp for link in links))))
    return tuple(found)


def limits_of(program: Program) -> Limits:
    """Limits that the program was built with; the defaults for those that are not recorded."""
    from hsnn.report.layers import Limits

    defaults = Limits()
    recorded = _mapping(program.metadata.options.get("limits"))
    known = {name: number(recorded.get(name)) for name in (field.name for field in fields(Limits))}
    found = {name: value for name, value in known.items() if value is not None}
    spikes = int(found.pop("min_spikes", defaults.min_spikes))
    return replace(defaults, min_spikes=spikes, **found)


def _read(record: Mapping[str, Json], exponents: tuple[int, ...]) -> Layer:
    spikes = _mapping(record.get("spikes"))
    return Layer(
        name=visible(record.get("population", "")),
        stage=visible(record.get("segment", "")),
        neurons=int(number(record.get("neurons")) or 0),
        exponents=exponents,
        scale=number(record.get("scale")),
        snr_db=number(record.get("weight_snr_db")),
        exact="weight_snr_db" in record and record["weight_snr_db"] is None,
        spikes=max(number(spikes.get(key)) or 0.0 for key in ("float_spikes", "integer_spikes")),
        float_rate=number(spikes.get("float_rate")),
        integer_rate=number(spikes.get("integer_rate")),
        rate_error=number(spikes.get("rate_error")),
        f1=number(spikes.get("f1")),
        voltage_error=number(record.get("voltage_error")),
        lost=sum(number(record.get(key)) or 0.0 for key in ("saturated", "wrapped")),
        newly_dead=number(spikes.get("newly_dead")),
        dead=number(spikes.get("dead")),
    )


def _row(layer: Layer, limits: Limits, *, scaled: bool) -> tuple[Cell, ...]:
    """Colour what :func:`hsnn.report.layers.check_limits` refuses."""
    enough = layer.spikes >= limits.min_spikes
    newly_dead = (layer.newly_dead or 0.0) / max(layer.neurons, 1)
    return (
        Cell(layer.name),
        Cell(integer(layer.neurons)),
        *([Cell(decimal(layer.scale))] * scaled),
        Cell(" ".join(map(str, layer.exponents)) or NOTHING),
        Cell("exact" if layer.exact else decimal(layer.snr_db)),
        Cell(decimal(layer.float_rate)),
        Cell(decimal(layer.integer_rate)),
        Cell(percent(layer.rate_error), _level(layer.rate_error, enough, above=limits.max_rate_error)),
        Cell(_f1(layer.f1), _level(layer.f1, enough, below=limits.min_f1), bar=layer.f1),
        Cell(percent(layer.voltage_error), _level(layer.voltage_error, True, above=limits.max_voltage_error)),
        Cell(percent(layer.lost), _level(layer.lost, True, above=limits.max_saturation)),
        Cell(_dead(layer), _level(newly_dead, enough, above=limits.max_dead) or _silent(layer)),
    )


def _f1(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _dead(layer: Layer) -> str:
    if layer.dead is None:
        return NOTHING
    return integer(layer.dead) + (f" +{integer(layer.newly_dead)}" if layer.newly_dead else "")


def _level(value: float | None, judged: bool, *, above: float | None = None, below: float | None = None) -> Level:
    if value is None or not judged:
        return ""
    beyond = (above is not None and value > above) or (below is not None and value < below)
    return "bad" if beyond else ""


def _silent(layer: Layer) -> Level:
    """A layer in which nothing ever spikes deserves a look, though no limit forbids it."""
    return "warn" if layer.dead is not None and layer.dead == layer.neurons else ""


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
