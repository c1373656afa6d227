"""Write what was measured into ``docs/speed.md``, its figure, and the figures themselves into ``docs/speed.json``.

What was measured last in each section is what counts; sections that were not measured again stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from section import Row, Section

BEGIN, END = "<!-- figures of tests/bench -->", "<!-- end of these figures -->"
COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")


def write_page(sections: Iterable[Section], measured: Path, docs: Path) -> str:
    """Bring the page, its figure and its data up to date; returns what was left out.

    Raises:
        SystemExit: If the page lacks the marks that the figures go between.
    """
    data, page = docs / "speed.json", docs / "speed.md"
    known: dict[str, Any] = json.loads(data.read_text(encoding="utf-8")) if data.exists() else {}
    for section in sections:
        path = measured / f"{section.name}.json"
        if path.exists():
            known[section.name] = json.loads(path.read_text(encoding="utf-8"))
    text = page.read_text(encoding="utf-8")
    start, end = text.find(BEGIN), text.find(END)
    if start < 0 or end < start:
        raise SystemExit(f"{page} has no place for figures: the lines {BEGIN} and {END}")
    data.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    parts = [_part(section, known[section.name]) for section in sections if section.name in known]
    page.write_text(f"{text[: start + len(BEGIN)]}\n\n{''.join(parts)}{text[end:]}", encoding="utf-8")
    if "scaling" not in known:
        return ""
    if find_spec("matplotlib") is None:
        return "the figure stays as it is: matplotlib is missing (make bench-rivals)"
    draw(known["scaling"]["rows"], docs / "speed.svg")
    return ""


def _part(section: Section, result: Mapping[str, Any]) -> str:
    rows = result["rows"]
    summary = section.summary(rows)
    text = f"## {section.title}\n\n{section.notes}\n" + (f"{summary}\n\n" if summary else "")
    figure = "![Nanoseconds of a synaptic operation](speed.svg)\n\n" if section.name == "scaling" else ""
    return f"{text}{figure}{section.markdown([row for row in rows if section.shown(row)])}\n{_where(result)}\n\n"


def _where(result: Mapping[str, Any]) -> str:
    """Say in a line what was measured on, and how busy it was."""
    machine = result["machine"]
    loads = [f"{load[0]:.1f}" for load in (machine["load"], machine["load_after"]) if load]
    size = "" if result["size"] == "full" else f"; size `{result['size']}`"
    features = ", ".join(machine["features"]) or "none of the tiers'"
    return (
        f"<sub>{machine['processor']} ({machine['llvm_name']}; {features}), {machine['cores']} cores, Python "
        f"{machine['python']}; load {' to '.join(loads)}{size}.</sub>"
    )


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw nanoseconds of an operation over operations of a sample, with the steps of the caches."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "hsnn"  # equal figures make equal files
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 4.2))
    tiers = list(dict.fromkeys(row["tier"] for row in rows))
    for color, tier in zip(COLORS, tiers, strict=False):
        for kind, style, marker in (("dense", "-", "o"), ("conv", "--", "s")):
            own = [row for row in rows if row["tier"] == tier and row["kind"] == kind]
            axes.plot(
                [row["operations"] for row in own],
                [row["nanoseconds_per_operation"] for row in own],
                style,
                marker=marker,
                color=color,
                label=f"{kind}, {tier}",
            )
    dense = sorted((row["weight_bytes"], row["operations"]) for row in rows if row["kind"] == "dense")
    for name, size in rows[0]["caches_bytes"].items() if dense else ():
        per_byte = dense[-1][1] / dense[-1][0]  # weights and operations both grow with the square of the neurons
        axes.axvline(size * per_byte, color="gray", linestyle=":", linewidth=1)
        axes.text(size * per_byte, 0.99, f" {name}", transform=axes.get_xaxis_transform(), va="top", color="gray")
    axes.set(xscale="log", yscale="log", xlabel="synaptic operations of a sample", ylabel="ns a synaptic operation")
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
