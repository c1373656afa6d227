"""The commands that measure HAS-8, on the few images that come with hsnn_models."""

from __future__ import annotations

import json

import pytest

from hsnn.errors import UsageError
from hsnn_models import data, has8_codes, has8_table


@pytest.fixture(autouse=True)
def packed_images(monkeypatch):
    monkeypatch.setattr(data, "fashion", lambda split, root=None: data.fashion_subset(split))


def command(module, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["command", "--threads", "1", *arguments])
    return module.main()


def test_the_table_of_models(monkeypatch, capsys, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{has8_table.BEGIN}\nold\n{has8_table.END}\nafter\n")
    models = ("has8_resnet_ann", "has8_resnet_matched")
    arguments = (*models, "--samples", "150", "--json", "--markdown", str(page))
    assert command(has8_table, monkeypatch, *arguments) == 0
    ann, hybrid = json.loads(capsys.readouterr().out)
    assert (ann["model"], hybrid["model"]) == models
    assert ann["integer_accuracy"] is ann["spikes"] is ann["values"] is None
    assert ann["host_macs"] == hybrid["host_macs"] == 248_288
    for row in (ann, hybrid):
        assert row["images"] == 150
        assert row["float_accuracy"] > 0.85
    assert abs(hybrid["integer_accuracy"] - hybrid["float_accuracy"]) < 0.03
    assert hybrid["agreement"] > 0.95
    assert hybrid["operations"] > hybrid["spikes"] > 500
    assert hybrid["values"] > hybrid["messages"] > 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| has8_resnet_matched | " in text
    assert "150 test images" in text
    assert command(has8_table, monkeypatch, "has8_resnet_ann", "--samples", "20", "--markdown", str(page)) == 0
    assert "has8_resnet_matched" not in page.read_text()


def test_a_page_without_a_place_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"{has8_table.END}\n{has8_table.BEGIN}\n")
    with pytest.raises(UsageError, match="HSNN-U211"):
        has8_table.write_markdown(page, ())
    assert page.read_text() == f"{has8_table.END}\n{has8_table.BEGIN}\n"


def test_unknown_models_are_refused_before_any_is_measured(monkeypatch, capsys):
    assert command(has8_table, monkeypatch, "has8_resnet_ann", "has8_mlp") == 2
    assert "HSNN-U210" in capsys.readouterr().err


def test_the_table_of_codes(monkeypatch, capsys):
    assert command(has8_codes, monkeypatch, "--samples", "100", "--json") == 0
    codes = json.loads(capsys.readouterr().out)
    planes = {code["timesteps"]: code for code in codes if code["code"] == "bit planes"}
    rates = {code["timesteps"]: code for code in codes if code["code"] == "rate"}
    assert planes[8]["error"] < 1e-6
    assert planes[8]["accuracy"] > 0.85
    assert [planes[count]["error"] for count in (8, 6, 5, 4, 3)] == sorted(code["error"] for code in planes.values())
    for few, many in ((5, 16), (6, 32)):  # equal errors
        assert planes[few]["error"] == pytest.approx(rates[many]["error"], rel=0.2)
        assert planes[few]["spikes"] < 0.5 * rates[many]["spikes"]
