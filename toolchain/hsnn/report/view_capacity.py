"""What a program needs of a chip and what the chip has, from the JSON record of :mod:`hsnn.ir.mapping`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from hsnn.report.cells import (
    NOTHING,
    Cell,
    Column,
    Level,
    Table,
    compact,
    count,
    integer,
    number,
    percent,
    sentence,
    visible,
)

if TYPE_CHECKING:
    from hsnn.program import Json

    Record = Mapping[str, Json]

NEARLY_FULL = 0.9
_NAMES = {
    "neurocores": "neurocores",
    "neurons": "neurons",
    "synapse_bits": "synapse memory",
    "axons_in": "axons in",
    "axons_out": "axons out",
}


def capacity(mapping: Record) -> tuple[Table, ...]:
    """Resources, what does not fit, and what each population takes; nothing for an empty mapping."""
    if not mapping:
        return ()
    short = _records(mapping, "shortages")
    tables = [resources(mapping), populations(mapping)]
    return tuple(([shortages(short)] if short else []) + tables)


def resources(mapping: Record) -> Table:
    """What is used of each resource of the chip, and how sure its limit is."""
    rows = tuple(_resource_row(record) for record in _records(mapping, "resources"))
    return Table(
        f"Capacity of {visible(mapping.get('chip') or 'the chip')}",
        (
            Column("Resource"),
            Column("Used", "All neurocores together", number=True),
            Column("Fullest", "The most that one neurocore uses", number=True),
            Column("Limit", "Of one neurocore; of the chip for neurocores", number=True),
            Column("Filled", "Share of the limit where it is fullest", number=True),
            Column("Status", "Whether the limit was published, measured or is assumed"),
            Column("Source of the limit", minor=1),
        ),
        rows,
        _fullest(_records(mapping, "neurocores")),
        empty="no resource is recorded",
    )


def populations(mapping: Record) -> Table:
    """Neurons, memory and neurocores of each population."""
    return Table(
        "Populations on the chip",
        (
            Column("Segment"),
            Column("Population", code=True),
            Column("Neurons", number=True),
            Column("Synapse memory", "A shared kernel counts once on each neurocore", number=True),
            Column("Neurocores", "Neurocores that hold a part of it", number=True),
        ),
        tuple(
            (
                Cell(visible(record.get("segment", ""))),
                Cell(visible(record.get("population", ""))),
                Cell(integer(number(record.get("neurons")))),
                Cell(bits(number(record.get("synapse_bits")))),
                Cell(integer(number(record.get("neurocores"))), "" if record.get("neurocores") else "bad"),
            )
            for record in _records(mapping, "populations")
        ),
    )


def neurocores(mapping: Record) -> Table:
    """What every neurocore holds."""
    return Table(
        "Neurocores",
        (
            Column("Neurocore", number=True),
            Column("Holds", "Neurons from first to last", code=True),
            *(Column(_NAMES[name].capitalize(), number=True) for name in _NAMES if name != "neurocores"),
            Column("Filled", "Share of its scarcest resource that is used", number=True),
            Column("Scarcest"),
        ),
        tuple(_neurocore_row(record) for record in _records(mapping, "neurocores")),
        empty="no neurocore is recorded",
    )


def shortages(records: Iterable[Record]) -> Table:
    """Limits that do not hold."""
    return Table(
        "Does not fit",
        (
            Column("Resource"),
            Column("Where"),
            Column("Needed", number=True),
            Column("Limit", number=True),
            Column("Fix"),
        ),
        tuple(
            (
                Cell(_name(record.get("resource")), "bad"),
                Cell(sentence(record.get("where", ""))),
                Cell(integer(number(record.get("needed"))), "bad"),
                Cell(integer(number(_record(record.get("limit")).get("value")))),
                Cell(sentence(record.get("fix", ""))),
            )
            for record in records
        ),
    )


def bits(value: float | None) -> str:
    """Write an amount of memory.

    >>> bits(4096), bits(2_000_000), bits(None)
    ('512B', '250kB', '\N{EN DASH}')
    """
    return NOTHING if value is None else f"{compact(-(-value // 8))}B"


def _resource_row(record: Record) -> tuple[Cell, ...]:
    name = record.get("name")
    used, peak, allowed = (number(record.get(key)) for key in ("used", "peak", "allowed"))
    write = bits if name == "synapse_bits" else integer
    filled = None if peak is None or not allowed else peak / allowed
    status = visible(record.get("status", ""))
    return (
        Cell(_name(name)),
        Cell(write(used)),
        Cell(NOTHING if name == "neurocores" else write(peak)),
        Cell(write(allowed)),
        Cell(percent(filled), _fullness(filled, warn=name == "neurocores"), bar=filled),
        Cell(status, "warn" if status == "assumed" else ""),
        Cell(sentence(record.get("source", "")), "mute"),
    )


def _neurocore_row(record: Record) -> tuple[Cell, ...]:
    filled = number(record.get("utilization"))
    return (
        Cell(integer(number(record.get("index")))),
        Cell(_slices(record)),
        Cell(integer(number(record.get("neurons")))),
        Cell(bits(number(record.get("synapse_bits")))),
        Cell(integer(number(record.get("axons_in")))),
        Cell(integer(number(record.get("axons_out")))),
        Cell(percent(filled), _fullness(filled, warn=False), bar=filled),
        Cell(_name(record.get("bottleneck"))),
    )


def _fullest(records: list[Record]) -> str:
    if not records:
        return ""
    fullest = max(records, key=lambda record: number(record.get("utilization")) or 0.0)
    index = integer(number(fullest.get("index")))
    filled = percent(number(fullest.get("utilization")))
    holds = _slices(fullest).replace("\n", ", ")
    return f"fullest: neurocore {index}, {filled} of its {_name(fullest.get('bottleneck'))} (holds {holds})"


def _slices(record: Record) -> str:
    """Parts of populations; the last neuron is part of it, as people count."""
    parts = _records(record, "slices")
    lines = [f"{visible(part.get('population', ''))} {_span(part)}" for part in parts[:3]]
    return "\n".join([*lines, f"and {count(len(parts) - 3, 'more part')}"] if len(parts) > 3 else lines)


def _span(part: Record) -> str:
    first, last = number(part.get("first")), number(part.get("last"))
    return NOTHING if first is None or last is None else f"{first:.0f}..{last - 1:.0f}"


def _name(name: object) -> str:
    return _NAMES.get(str(name), visible(str(name).replace("_", " ")))


def _fullness(filled: float | None, *, warn: bool) -> Level:
    """Neurocores are filled up one after the other, so a full one is no reason to worry; a full chip is."""
    if filled is None or filled < NEARLY_FULL:
        return ""
    if filled > 1:
        return "bad"
    return "warn" if warn else ""


def _records(record: Record, key: str) -> list[Record]:
    found = record.get(key)
    if not isinstance(found, (list, tuple)):
        return []
    return [item for item in found if isinstance(item, Mapping)]


def _record(value: object) -> Record:
    return value if isinstance(value, Mapping) else {}
