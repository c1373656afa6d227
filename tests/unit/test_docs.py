"""Every page of the documentation: links, names of files, programs and command lines that are right."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
import tempfile
from pathlib import Path

import pytest

from hsnn import target as targets
from hsnn.commands.parser import VERBS, make_parser, parse
from support.pages import CODE_SPAN, FENCE, PAGES, README, ROOT, blocks, cells, page, prose

# --- every page


def slug(heading):
    """Return the anchor of a heading as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(path):
    text = CODE_SPAN.sub("", prose(path.read_text(encoding="utf-8")))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        goal = path.parent / name if name else path
        assert goal.is_file(), f"{link} leads nowhere"
        headings = re.findall(r"^#+ (.*)$", prose(goal.read_text(encoding="utf-8")), re.M)
        assert not anchor or anchor in {slug(heading) for heading in headings}, f"{link} has no such heading"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_files_that_a_page_names_exist(path):
    roots = ("toolchain/", "targets/", "models/", "tests/", "docs/", "examples/", ".ci/")
    for span in CODE_SPAN.findall(prose(path.read_text(encoding="utf-8"))):
        if span.startswith(roots) and re.fullmatch(r"[\w./*-]+", span):
            assert list(ROOT.glob(span.rstrip("/"))), f"there is no {span}"


def test_parts_that_the_architecture_names_exist():
    """Its paths are relative to the package of the compiler, or to the repository, in the drawing too."""
    named = set(re.findall(r"(?<![\w/.:])(?:[a-z_]+/)+(?:\w+\.py)?|(?<![\w/.])\w+\.py", page("architecture.md")))
    assert len(named) > 30
    for name in named:
        assert any((root / name).exists() for root in (ROOT, ROOT / "toolchain" / "hsnn")), f"there is no {name}"


@pytest.mark.parametrize("path", [*PAGES, *sorted((ROOT / "examples").glob("*.py"))], ids=lambda path: path.name)
def test_no_path_of_any_machine(path):
    text = path.read_text(encoding="utf-8")
    for place in (f"{ROOT}/", f"{Path.home()}/", f"{tempfile.gettempdir()}/", "/home/", "/root/", "/Users/", "C:\\"):
        assert place == "//" or place not in text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_programs_are_python(path):
    for program in blocks(path.read_text(encoding="utf-8"), "python"):
        ast.parse(program)


# --- commands


def verbs_of(parser):
    (action,) = (item for item in parser._actions if isinstance(item, argparse._SubParsersAction))
    return action.choices


def commands(path):
    """Return the command lines in the blocks of a page."""
    lines = [line for _, body in FENCE.findall(path.read_text(encoding="utf-8")) for line in body.splitlines()]
    return [line.split("#")[0] for line in lines if line.startswith("hsnn-compile ")]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_command_lines_can_be_parsed(path):
    for line in commands(path):
        assert parse(shlex.split(line)[1:]).call, line


def test_readme_has_command_lines():
    assert len(commands(README)) >= 4


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_verbs_and_options_exist(path):
    verbs = verbs_of(make_parser())
    options = {text: name for name, verb in verbs.items() for text in verb._option_string_actions}
    for span in CODE_SPAN.findall(prose(path.read_text(encoding="utf-8"))):
        first, *others = span.split()
        if first != "hsnn-compile" and not first.startswith("--"):
            continue
        if first == "hsnn-compile" and others and not others[0].isupper():
            assert others[0] in verbs or ":" in others[0] or others[0].endswith(".onnx"), span
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", span):
            assert option in options, f"{span} names {option}"


def test_readme_lists_all_verbs_and_targets():
    rows = {row[0]: row[1] for row in cells(README.read_text(encoding="utf-8")) if len(row) == 2}
    assert [name for name in CODE_SPAN.findall(rows["verbs"]) if not name.startswith("--")] == list(VERBS)
    assert set(CODE_SPAN.findall(rows["targets"])) == set(targets.target_names())
