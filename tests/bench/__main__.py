"""Measure hsnn: ``python tests/bench [SECTION ...] [--quick | --full] [options]``, or ``make bench``.

Every section prints a table and leaves ``build/bench/SECTION.json``. ``page`` writes what was measured last into
``docs/speed.md`` and draws its figure.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import choice
import huge
import page
import programs
import rivals
import roofline
import scaling
import speed
import start
import traces
from machine import describe
from rich.console import Console
from section import Row, Section, Settings

MODULES = (roofline, speed, rivals, choice, scaling, huge, programs, traces, start)
SECTIONS = {module.SECTION.name: module.SECTION for module in MODULES}


def main() -> int:
    """Measure what was asked for; returns the exit status."""
    parser = _parser()
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS and options.sections != ["page"]]
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    size = options.size or "quick"
    progress = Console(stderr=True)
    settings = Settings(
        size,
        networks=tuple(options.networks),
        activities=tuple(options.activities),
        batches=tuple(options.batches),
        threads=tuple(options.threads),
        tiers=tuple(options.tiers),
        turns=options.turns,
        against=options.against,
        tell=lambda text: progress.print(f"[{time.strftime('%H:%M:%S')}] {text}", markup=False, highlight=False),
    )
    if options.sections == ["page"]:
        progress.print(page.write_page(SECTIONS.values(), options.output, options.docs) or "the page is up to date")
        return 0
    names = options.sections or [name for name, section in SECTIONS.items() if size in section.sizes]
    options.output.mkdir(parents=True, exist_ok=True)
    for name in names:
        run(SECTIONS[name], settings, options.output)
    return 0


def run(section: Section, settings: Settings, folder: Path) -> list[Row]:
    """Measure one section, show it and keep it."""
    start = time.perf_counter()
    before, rows = describe(), list(section.measure(settings))
    result = {
        "section": section.name,
        "size": settings.size,
        "machine": {**before, "load_after": describe()["load"]},
        "seconds": time.perf_counter() - start,
        "rows": rows,
    }
    (folder / f"{section.name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    Console(width=140).print(section.table(rows))  # a pipe would get 80 columns
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python tests/bench", description="Speed of hsnn on this machine.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"some of {', '.join(SECTIONS)}; or page")
    size = parser.add_mutually_exclusive_group()
    for name, text in (("tiny", "see whether it works"), ("quick", "a few minutes (default)"), ("full", "everything")):
        size.add_argument(f"--{name}", dest="size", action="store_const", const=name, help=text)
    for name, kind in (("networks", str), ("activities", float), ("batches", int), ("threads", int), ("tiers", str)):
        parser.add_argument(f"--{name}", nargs="+", type=kind, default=[], help="only these")
    parser.add_argument("--turns", type=int, help="turns of every comparison")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="traces: another checkout to take turns with")
    parser.add_argument("--output", type=Path, default=Path("build/bench"), help="where JSON goes (build/bench)")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="page: where speed.md is (docs)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
