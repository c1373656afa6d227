"""What the documentation says is so: codes, operators, limits, commands, links, and every program in it."""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import shlex
import subprocess
import sys
import tempfile
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import hsnn
from hsnn import errors
from hsnn import nn as snn
from hsnn import target as targets
from hsnn.cli import main
from hsnn.commands.parser import VERBS, make_parser, parse
from hsnn.frontends.torch import from_torch
from hsnn.ops import OPS
from hsnn.ops.functions import OPSET_MAX, OPSET_MIN
from hsnn.passes.mapping.chips import LIMITS, load_chip
from hsnn.passes.partition.partition import Partition
from hsnn.passes.rewrite.canonicalize import canonicalize
from hsnn.passes.trains.domains import ELEMENTWISE, PER_SAMPLE
from hsnn.passes.trains.linear_ops import LINEAR_OPS

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


# --- errors.md


def documented_codes():
    """Return, by code: pairs of the class and the exit status, none for what is no error."""
    entries = re.findall(r"^- \*\*(HSNN-[A-Z]\d{3})\*\* \(([^)]*)\):", page("errors.md"), re.M)
    assert len(entries) == len({code for code, _ in entries}), "a code is listed twice"
    return {
        code: set() if text == "no error" else {tuple(pair.split(", ")) for pair in text.split("; ")}
        for code, text in entries
    }


def raised_classes():
    """Return, by code: names of the public classes that the sources raise it with."""
    stand_ins = {"_FoundError": "UnsupportedError", "_InterruptedError": "HsnnError"}
    found = {}
    for path in SOURCES:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.args):
                continue
            name = stand_ins.get(call.func.id, call.func.id)
            first = call.args[0]
            code = first.value if isinstance(first, ast.Constant) else None
            if isinstance(code, str) and CODE.fullmatch(code) and hasattr(errors, name):
                found.setdefault(code, set()).add(name)
    return found


def test_every_code_is_documented_and_every_documented_code_exists():
    in_sources = {code for path in SOURCES for code in CODE.findall(path.read_text(encoding="utf-8"))}
    assert documented_codes().keys() == in_sources


def test_classes_and_exit_statuses_are_those_of_the_sources():
    documented, raised = documented_codes(), raised_classes()
    assert len(raised) > 100
    assert {code: {name for name, _ in documented[code]} for code in raised} == raised
    for code, pairs in documented.items():
        for name, status in pairs:
            expected = 130 if code == "HSNN-U113" else getattr(errors, name).exit_status
            assert int(status) == expected, code


def test_what_is_no_error_is_never_raised():
    silent = {code for code, pairs in documented_codes().items() if not pairs}
    reasons = {"HSNN-P001", "HSNN-P002", "HSNN-P003", "HSNN-P004", "HSNN-P007"}
    warnings = {"HSNN-P030", "HSNN-P031", "HSNN-Q030"}
    assert silent == reasons | warnings
    assert not silent & raised_classes().keys()


def test_codes_in_other_pages_exist():
    known = documented_codes().keys()
    for path in PAGES:
        assert set(CODE.findall(path.read_text(encoding="utf-8"))) <= known, path.name


def test_the_table_of_exit_statuses_names_every_class():
    classes = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and name.endswith("Error")}
    rows = {row[0]: row[2] for row in cells(section(page("errors.md"), "Exit statuses")) if len(row) == 3}
    for name, kind in classes.items():
        assert f"`{name}`" in rows[str(kind.exit_status)]


# --- operators.md


SHAPES = {
    "add_time": "`(batch, *feature)` to `(timestep, batch, *feature)`",
    "same": "`(timestep, batch, *feature)` to the same",
    "time_first": "`(batch, timestep, *feature)` to `(timestep, batch, *feature)`",
    "batch_first": "`(timestep, batch, *feature)` to `(batch, timestep, *feature)`",
    "half_features": "`(timestep, batch, 2 C, ...)` to `(timestep, batch, C, ...)`",
    "drop_time": "`(timestep, batch, *feature)` to `(batch, *feature)`",
    "merge_time": "`(timestep, batch, *feature)` to `(timestep * batch, *feature)`",
    "split_time": "`(timestep * batch, *feature)` to `(timestep, batch, *feature)`",
}
VALUES = {
    "binary": "binary",
    "graded": "graded",
    "real": "real",
    "as_input": "as the input",
    "by_values": "binary or graded, by `values`",
    "binary_if_floor_lsb": "binary with `floor_lsb`, else graded",
}


def allowed_text(attribute):
    if attribute.choices:
        return " or ".join(f"`{choice}`" for choice in attribute.choices)
    bounds = (
        ("at least", attribute.minimum),
        ("above", attribute.above),
        ("at most", attribute.maximum),
        ("below", attribute.below),
    )
    return ", ".join(f"{word} {int(bound)}" for word, bound in bounds if bound is not None) or "any finite number"


def default_text(op, attribute):
    """Return the default of the torch layer; flags are stored as 0 or 1."""
    default = inspect.signature(getattr(snn, op.name)).parameters[attribute.name].default
    if default is inspect.Parameter.empty:
        return "must be given"
    return f"`{int(default) if isinstance(default, bool) else default}`"


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_every_operator_is_as_documented(op):
    text = section(page("operators.md"), op.name)
    signature = f"`{op.name}({', '.join(op.inputs)})`: {SHAPES[op.shape_rule]}; {VALUES[op.values]}."
    assert signature in flat(text)
    rows = [[f"`{a.name}`", a.type, default_text(op, a), allowed_text(a)] for a in op.attributes]
    assert cells(text)[1:] == rows


def test_no_operator_is_documented_that_does_not_exist():
    text = page("operators.md")
    families = ("Encoders", "Neurons", "Decoders", "Structure")
    start, end = text.index(f"## {families[0]}\n"), text.index("## What may stand between\n")
    assert re.findall(r"^### (.*)$", text[start:end], re.M) == list(OPS)
    assert tuple(re.findall(r"^## (.*)$", text[start:end], re.M)) == families


def test_synapses_and_host_operators_are_those_of_the_compiler():
    text = section(page("operators.md"), "What may stand between")
    synapses, host = text.split("**2. Host")[0], text.split("**2. Host")[1].split("**3. Refused")[0]
    listed = {name for row in cells(synapses)[1:] for name in CODE_SPAN.findall(row[0])}
    assert listed == {f"{domain}.{op}" if domain else op for domain, op in LINEAR_OPS}
    elementwise, per_sample, *_ = (set(CODE_SPAN.findall(item)) for item in host.split("\n- ")[1:])
    assert elementwise == ELEMENTWISE
    assert per_sample == PER_SAMPLE


def test_versions_of_the_onnx_operator_set():
    assert f"own operator set in version {OPSET_MIN} to {OPSET_MAX}." in flat(page("operators.md"))


def test_a_hybrid_file_written_by_hand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (program,) = blocks(page("operators.md"), "python")
    exec(compile(program, "write_net.py", "exec"), {"__name__": "__main__"})
    samples = np.random.default_rng(1).random((24, 4), np.float32)
    assert hsnn.check("net.onnx").fits
    compiled = hsnn.compile("net.onnx", samples)
    assert [item.name for item in compiled.chip_stages[0].network.neurons] == ["neurons"]
    with hsnn.Session(compiled) as session:
        rates = session.run(samples).output
    assert rates.shape == (24, 6)
    assert 0.05 < rates.mean() < 0.95


# --- chips.md


def test_the_chip_file_is_complete(tmp_path):
    (text,) = blocks(page("chips.md"), "toml")
    path = tmp_path / "my_chip.toml"
    path.write_text(text, encoding="utf-8")
    chip = load_chip(path)
    assert (chip.name, chip.neurocores.value, chip.conv_shared.value) == ("my-chip", 118, 0)
    assert {getattr(chip, name).status for name in LIMITS} == {"measured", "published", "assumed"}


def test_every_limit_is_explained():
    rows = cells(section(page("chips.md"), "What each limit means"))[1:]
    assert [row[0] for row in rows] == [f"`{name}`" for name in LIMITS]


def test_what_is_said_of_loihi2_is_what_its_file_says():
    chip = load_chip("loihi2")
    limits = {name: getattr(chip, name) for name in LIMITS}
    values = {name: str(limit.value) for name, limit in limits.items()}
    values["conv_shared"] = str(bool(chip.conv_shared.value)).lower()
    rows = cells(section(page("chips.md"), "What is assumed for Loihi 2"))[1:]
    assert rows == [[f"`{name}`", values[name], limit.status] for name, limit in limits.items()]


# --- targets.md


def test_every_target_has_its_place():
    text = page("targets.md")
    assert [row[0] for row in cells(text.split("## What is equal")[0])[1:]] == [
        f"`{name}`" for name in ("emulator", "loihi2-sim", "gpu", "reference", "loihi2")
    ]
    assert {"emulator", "gpu", "loihi2-sim", "reference", "loihi2"} == set(targets.target_names())
    for name in targets.target_names():
        assert section(text, name)


def test_every_environment_variable_is_documented():
    rows = cells(section(page("targets.md"), "Environment variables"))[1:]
    documented = {name for row in rows for name in CODE_SPAN.findall(row[0])}
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    own = set(re.findall(r"\bHSNN_[A-Z_]+\b", text))
    board = (ROOT / "targets/hsnn_targets/loihi2/host.py").read_text(encoding="utf-8")
    assert documented == own | set(re.findall(r'environment\.get\("(\w+)"', board)) - {"PATH"}


@pytest.fixture
def tally(monkeypatch):
    """Install the target that targets.md shows how to write."""
    program = blocks(page("targets.md"), "python")[0]
    module = ModuleType("my_package.tally")
    monkeypatch.setitem(sys.modules, "my_package", ModuleType("my_package"))
    monkeypatch.setitem(sys.modules, "my_package.tally", module)
    exec(compile(program, "tally.py", "exec"), vars(module))
    entry = EntryPoint("tally", "my_package.tally:TARGET", "hsnn.targets")
    monkeypatch.setattr(targets, "entry_points", lambda group: [*entry_points(group=group), entry])
    return module.TARGET


def test_the_target_that_targets_md_shows(tally):
    assert f"{tally.name} = my_package.tally:TARGET" in page("targets.md")
    assert isinstance(tally, targets.Target)
    assert tally.status().available
    proof = blocks(page("targets.md"), "python")[1]
    exec(compile(proof, "proof.py", "exec"), {})
    assert sum(tally.spikes.values()) > 100


def test_the_proof_in_targets_md_can_fail(tally, monkeypatch):
    executable = sys.modules["my_package.tally"].TallyExecutable
    honest = executable.run

    def run(self, inputs, **options):
        result = honest(self, inputs, **options)
        for sent in result.outputs.values():
            sent[-1, -1] += 1
        return result

    monkeypatch.setattr(executable, "run", run)
    with pytest.raises(SystemExit, match="seed 0: "):
        exec(compile(blocks(page("targets.md"), "python")[1], "proof.py", "exec"), {})


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


# --- the programs of the README


@pytest.mark.lava
def test_readme_in_python_runs_as_written(tmp_path):
    program = blocks(section(README.read_text(encoding="utf-8"), "In Python"), "python")[0]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    predictions, _, counts = done.stdout.partition("] ")
    assert len(re.findall(r"\d+", predictions)) == 8
    assert "neurons1" in counts
    assert (tmp_path / "digits.hsnn" / "manifest.json").is_file()


@pytest.fixture
def own_model(tmp_path, monkeypatch):
    """Save the model of the README as my_model.py in the current folder."""
    text = section(README.read_text(encoding="utf-8"), "Your own model, in ten lines")
    (program,) = blocks(text, "python")
    (tmp_path / "my_model.py").write_text(program, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "my_model", module := ModuleType("my_model"))
    exec(compile(program, "my_model.py", "exec"), vars(module))
    return module


def partitioned(model, shape):
    return Partition()(canonicalize(from_torch(model.eval(), (torch.rand(2, *shape),))))


def test_the_model_of_the_readme_is_cut_as_its_comments_say(own_model):
    torch.manual_seed(0)
    plan = partitioned(own_model.net(), (1, 28, 28))
    assert [stage.name for stage in plan.stages] == ["host.0", "chip.0", "host.1"]
    places = {}
    for item in plan.placements:
        places.setdefault(item.module.split(".")[0], set()).add(item.place)
    expected = ["host.0"] * 4 + ["chip.0"] * 4 + ["host.1"] * 2
    assert places == {str(layer): {place} for layer, place in enumerate(expected)}
    assert (len(plan.cuts), plan.outputs[0].shape) == (2, (None, 10))


def test_the_check_of_the_readme(own_model, capsys):
    (span,) = (span for span in CODE_SPAN.findall(README.read_text(encoding="utf-8")) if "check my_model" in span)
    assert main([*shlex.split(span)[1:], "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["supported"]
    assert {item["place"] for item in report["placements"]} == {"host.0", "chip.0", "host.1"}


def test_max_pooling_between_spiking_layers_costs_a_pair_of_crossings():
    def model(pool):
        return torch.nn.Sequential(
            snn.RateEncode(4),
            snn.Lif(),
            snn.TimeDistributed(pool),
            snn.Lif(),
            snn.RateDecode(),
        )

    found = {}
    for pool in (torch.nn.AvgPool2d(2), torch.nn.MaxPool2d(2)):
        plan = partitioned(model(pool), (1, 4, 4))
        reasons = {f"{item.code} {item.reason}" for item in plan.placements if item.code}
        found[type(pool).__name__] = len(plan.cuts), reasons
    text = README.read_text(encoding="utf-8")
    reason = "HSNN-P007 Loihi has no max pooling"
    assert f"`{reason}`" in text
    assert found == {"AvgPool2d": (2, set()), "MaxPool2d": (4, {reason})}


@pytest.mark.lava
def test_the_commands_of_the_readme_work_in_their_order(own_model, tmp_path, capsys):
    torch.manual_seed(0)
    model = own_model.net()
    with torch.no_grad():
        for synapses in model[3:].parameters():
            synapses *= 16  # as they start, no neuron would spike
    save_file(model.state_dict(), "net.safetensors")
    rng = np.random.default_rng(0)
    images = rng.random((12, 1, 28, 28), np.float32)
    np.savez("samples.npz", x=images)
    np.save("images.npy", images[:3])
    np.save("labels.npy", rng.integers(0, 10, 3))
    text = section(README.read_text(encoding="utf-8"), "Your own model, in ten lines")
    lines = [line for body in blocks(text, "") for line in body.splitlines()]
    assert len(lines) == 4
    shown = ""
    for line in lines:
        status = main(shlex.split(line)[1:])
        said = capsys.readouterr()
        assert status == 0, said.err
        shown += said.out
    assert "accuracy" in shown
    assert "emulator = loihi2-sim" in shown
    assert (tmp_path / "net.hsnn.report.html").is_file()
    sent = hsnn.load("net.hsnn").golden.sent["chip.0"]
    assert all(spikes.any() for spikes in sent.values())
