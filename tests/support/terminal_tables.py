"""Tables as a terminal shows them, and records to fill them with."""

from __future__ import annotations

import dataclasses
import io
import re

from rich.console import Console

from hsnn.program import Metadata

SPIKES = {
    "precision": 0.9,
    "recall": 0.9,
    "f1": 0.9,
    "float_spikes": 400,
    "integer_spikes": 410,
    "float_rate": 0.125,
    "integer_rate": 0.128,
    "rate_error": 0.025,
    "newly_dead": 0,
    "dead": 1,
}


def layer(population="hidden", neurons=5, **changes):
    spikes = {**SPIKES, **{key: value for key, value in changes.items() if key in SPIKES}}
    record = {
        "segment": "chip.0",
        "population": population,
        "neurons": neurons,
        "spikes": spikes,
        "voltage_error": None,
        "saturated": 0.0,
        "wrapped": 0.0,
        "scale": 131840.0,
        "weight_snr_db": 41.27,
    }
    return {**record, **{key: value for key, value in changes.items() if key not in SPIKES}}


def resource(name, used, peak, allowed, status="published"):
    return {
        "name": name,
        "used": used,
        "peak": peak,
        "allowed": allowed,
        "unit": name,
        "status": status,
        "source": "a paper",
    }


MAPPING = {
    "chip": "loihi2",
    "fits": True,
    "resources": [
        resource("neurocores", 2, 2, 120),
        resource("neurons", 1200, 900, 8192),
        resource("synapse_bits", 1_000_000, 800_000, 1_048_576, "assumed"),
        resource("axons_in", 4096, 4096, 4096, "assumed"),
    ],
    "neurocores": [
        {
            "index": index,
            "slices": [{"segment": "chip.0", "population": "hidden", "first": 0, "last": 900}],
            "neurons": 900,
            "synapse_bits": 800_000,
            "axons_in": 4096,
            "axons_out": 3,
            "utilization": utilization,
            "bottleneck": "axons_in",
        }
        for index, utilization in ((0, 0.25), (1, 1.0))
    ],
    "populations": [
        {"segment": "chip.0", "population": "hidden", "neurons": 1200, "synapse_bits": 8_000_000, "neurocores": 2}
    ],
    "shortages": [],
}


def shown(item, width=80, color=False):
    """What a terminal of that width gets, without trailing spaces."""
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=color, color_system="standard" if color else None).print(item)
    lines = [line.rstrip() for line in stream.getvalue().split("\n")]
    assert color or max(map(len, lines)) <= width
    return "\n".join(lines)


def rows(item, width=80):
    """Cells of what is shown, one list a line; columns are two spaces or more apart."""
    return [re.split(r"\s{2,}", line.strip()) for line in shown(item, width).split("\n")]


def squeezed(item, width=80):
    """What is shown with single spaces and no line breaks."""
    return " ".join(shown(item, width).split())


def colored(item, style):
    """Texts in a colour, such as ``1;31`` for bold red."""
    return [part.split("\x1b")[0].strip() for part in shown(item, 160, color=True).split(f"\x1b[{style}m")[1:]]


def with_limits(chain, limits, *layers):
    return dataclasses.replace(chain, layers=layers, metadata=Metadata("0", "t", options={"limits": limits.to_json()}))
