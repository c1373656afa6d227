"""The pages of the documentation, and what stands in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = (README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
SOURCES = tuple(path for folder in ("toolchain", "targets", "models") for path in sorted((ROOT / folder).rglob("*.py")))
CODE = re.compile(r"HSNN-[A-Z][0-9]{3}")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
CODE_SPAN = re.compile(r"`([^`\n]+)`")


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(text, language):
    return [body for kind, body in FENCE.findall(text) if kind == language]


def prose(text):
    """Return a page without the blocks of code."""
    return FENCE.sub("", text)


def flat(text):
    return " ".join(text.split())


def section(text, title):
    """Return what stands under a heading, up to the next heading of any level."""
    inside = [range(*fence.span()) for fence in FENCE.finditer(text)]
    found = [
        match for match in re.finditer(r"^#+ (.*)$", text, re.M) if not any(match.start() in block for block in inside)
    ]
    titles = [match[1] for match in found]
    start = titles.index(title)
    stop = found[start + 1].start() if start + 1 < len(found) else len(text)
    return text[found[start].end() : stop]


def cells(text):
    """Return the rows of all tables, header lines left out, each as its cells."""
    rows = [line.strip().strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if not set("".join(row)) <= set("-|: ")]
