"""The table of HAS-8 and its twins: what it counts, and how it gets into a page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hsnn import nn as snn
from hsnn_models import data, has8_table
from hsnn_models.has8_blocks import SpikingBranch
from hsnn_models.has8_recipes import load
from hsnn_models.has8_table import BEGIN, END, HEADINGS, Row, cells, host_macs, markdown, measure, write_markdown

PLAIN = Row("twin", 20, 250, "host", 0.9, None, None, None, None, 1234.0, None, None)
WHOLE = Row("whole", 20, 250, "emulator", 0.95, 0.9, 0.85, 1234.4, 5e6, 10.0, 7000, 12.6)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The images that come with hsnn_models, in place of the full data set."""
    torch.set_num_threads(1)

    def fashion(split: str, *, root: Path | None = None) -> data.Images:
        return data.fashion_subset(split).first(32)

    monkeypatch.setattr(data, "fashion", fashion)


@pytest.mark.parametrize("family", ["vgg", "resnet"])
def test_operations_on_the_host_are_those_that_torch_counts(family: str) -> None:
    twin, hybrid = load(f"has8_{family}_ann"), load(f"has8_{family}_matched")
    image = torch.zeros(1, 1, 28, 28)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        twin(image)
    expected = counter.get_total_flops() / 2  # torch counts a multiplication and an addition
    assert expected > 100_000
    assert host_macs(twin, image) == expected
    assert host_macs(hybrid, image) == expected  # its ordinary branches; the spiking ones are synapses


def test_spiking_branches_do_not_count_and_the_batch_is_divided_out() -> None:
    encode, decode = snn.matched()
    branch = SpikingBranch(nn.Sequential(nn.Linear(3, 5), snn.Lif(0.5)), encode, decode)
    model = nn.Sequential(nn.Linear(4, 3), branch, nn.Linear(5, 2)).eval()
    assert host_macs(model, torch.rand(1, 4)) == host_macs(model, torch.rand(6, 4)) == 4 * 3 + 5 * 2


def test_an_ordinary_twin_has_nothing_on_the_chip(few: None) -> None:
    row = measure("has8_resnet_ann", None, target="emulator", limit=20, tell=lambda count: None)
    images = data.fashion_subset("test").first(20)
    with torch.no_grad():
        found = load("has8_resnet_ann", trained=True)(torch.from_numpy(images.images)).argmax(1).numpy()
    assert (row.images, row.target) == (20, "host")
    assert row.float_accuracy == np.mean(found == images.labels)
    assert {row.integer_accuracy, row.spikes, row.operations, row.values, row.messages} == {None}


def test_a_hybrid_is_counted_the_same_on_every_target(few: None) -> None:
    told: list[int] = []
    emulator, reference = (
        measure("has8_resnet_matched", None, target=target, limit=6, tell=told.append)
        for target in ("emulator", "reference")
    )
    assert sum(told) == 12
    assert emulator.spikes is not None
    assert emulator.operations is not None
    assert emulator.operations > emulator.spikes > 0
    assert (emulator.values or 0) > (emulator.messages or 0) > 0
    same = ("integer_accuracy", "agreement", "spikes", "operations", "values", "messages", "host_macs")
    assert {name: getattr(emulator, name) for name in same} == {name: getattr(reference, name) for name in same}


def test_what_a_model_has_not_is_a_dash() -> None:
    assert cells(PLAIN) == ("twin", "90.00%", "-", "-", "-", "-", "1,234", "-", "-")
    assert cells(WHOLE) == ("whole", "95.00%", "90.00%", "85.00%", "1,234", "5,000,000", "10", "7,000", "13")


def test_the_table_replaces_the_one_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nbehind\n", encoding="utf-8")
    write_markdown(page, [PLAIN, WHOLE])
    once = page.read_text(encoding="utf-8")
    assert once.startswith(f"before\n{BEGIN}\n")
    assert once.endswith(f"{END}\nbehind\n")
    assert "old" not in once
    assert markdown([PLAIN, WHOLE]) in once
    rows = [line for line in once.splitlines() if line.startswith("|")]
    assert [line.count("|") for line in rows] == [len(HEADINGS) + 1] * 4
    write_markdown(page, [PLAIN, WHOLE])
    assert page.read_text(encoding="utf-8") == once


@pytest.mark.parametrize("text", ["", BEGIN, f"{END} {BEGIN}"])
def test_a_page_without_marks_stays_as_it_is(text: str, tmp_path: Path) -> None:
    from hsnn.errors import UsageError

    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="HSNN-U211"):
        write_markdown(page, [PLAIN])
    assert page.read_text(encoding="utf-8") == text


def test_the_command_prints_json(
    few: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["has8_table", "has8_vgg_ann", "--samples", "5", "--threads", "1", "--json"])
    assert has8_table.main() == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["model"], row["images"], row["spikes"]) == ("has8_vgg_ann", 5, None)


def test_an_unknown_model_is_refused_before_any_work(
    few: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["has8_table", "has8_vgg_ann", "has8_mlp"])
    monkeypatch.setattr(has8_table, "measure", lambda *_, **__: pytest.fail("worked before it refused"))
    assert has8_table.main() == 2
    assert "HSNN-U210" in capsys.readouterr().err
