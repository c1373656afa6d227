"""What the reference pages say is so: codes, operators, chips and targets."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

import numpy as np
import pytest

import hsnn
from hsnn import errors
from hsnn import nn as snn
from hsnn import target as targets
from hsnn.ops import OPS
from hsnn.ops.functions import OPSET_MAX, OPSET_MIN
from hsnn.passes.mapping.chips import LIMITS, load_chip
from hsnn.passes.trains.domains import ELEMENTWISE, PER_SAMPLE
from hsnn.passes.trains.linear_ops import LINEAR_OPS
from support.pages import CODE, CODE_SPAN, PAGES, ROOT, SOURCES, blocks, cells, flat, page, section

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


WITHOUT_A_WAY_OUT = {"HSNN-U113"}
"""Ctrl-C: nothing is wrong."""

MEET_AT_THE_COMMAND = re.compile(r"HSNN-(R1|T|U1|V|A00|F00|F02[01]|P)")
"""Codes of what a command is given and of what it meets while it runs; others say at least what is allowed."""


def ways_out():
    """Yield, for every error that the sources raise: code, place, and which of `allowed` and `fix` it says."""
    for path in SOURCES:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.args):
                continue
            code = call.args[0].value if isinstance(call.args[0], ast.Constant) else None
            if isinstance(code, str) and CODE.fullmatch(code) and call.func.id.endswith("Error"):
                said = {item.arg for item in call.keywords} | ({"fix"} if call.func.id == "_FoundError" else set())
                yield code, f"{path.name}:{call.lineno}", said & {"allowed", "fix"}


def test_every_error_says_what_helps():
    errors_raised = [item for item in ways_out() if item[0] not in WITHOUT_A_WAY_OUT]
    assert len(errors_raised) > 400
    assert [item[:2] for item in errors_raised if not item[2]] == []
    met = [item for item in errors_raised if MEET_AT_THE_COMMAND.match(item[0])]
    assert len(met) > 100
    assert [item[:2] for item in met if "fix" not in item[2]] == []


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
    "binary_if_single": "binary with `max_spikes` 1, else graded",
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
    path = tmp_path / "my_chip.toml"
    whole, based = blocks(page("chips.md"), "toml")
    path.write_text(whole, encoding="utf-8")
    chip = load_chip(path)
    assert (chip.name, chip.neurocores.value, chip.conv_shared.value) == ("my-chip", 118, 0)
    assert {getattr(chip, name).status for name in LIMITS} == {"measured", "published", "assumed"}
    path.write_text(based, encoding="utf-8")
    board, loihi2 = load_chip(path), load_chip("loihi2")
    assert (board.name, board.neurocores.value) == ("my-board", 2 * loihi2.neurocores.value)
    assert all(getattr(board, name) == getattr(loihi2, name) for name in LIMITS if name != "neurocores")


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
