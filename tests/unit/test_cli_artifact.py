"""hsnn-compile inspect and report."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from hsnn.cli import main
from hsnn.commands import describe
from hsnn.commands.plain import plain
from hsnn.commands.report import default_path


def as_json(capsys):
    return json.loads(capsys.readouterr().out)


def test_inspect_shows_what_is_inside(chain, artifact, every_kind, capsys):
    assert main(["inspect", artifact, "--json"]) == 0
    result = as_json(capsys)
    network = chain.chip_stages[0].network
    shown = result["stages"][1]["network"]
    assert [item["kind"] for item in result["stages"]] == ["host", "chip", "host"]
    assert shown["timesteps"] == network.timesteps
    assert shown["neurons"] == sum(item["neurons"] for item in shown["populations"]) - 1  # one constant source
    assert shown["synapses"] == sum(item.weights.size for item in network.projections)
    for item, projection in zip(shown["projections"], network.projections, strict=True):
        assert item["weights"] == [projection.weights.min(), projection.weights.max()]
    assert result["stages"][1]["output_scales"] == {"hidden": 1.0, "out": 0.25}
    assert result["files"]["bridge.json"]["bytes"] == os.path.getsize("net.hsnn/bridge.json")
    assert (result["seed"], result["source"], result["float_reference"]) == (5, "pkg:net", True)

    assert main(["inspect", artifact]) == 0
    text = capsys.readouterr().out
    assert f"{shown['synapses']} synapses" in text
    assert result["sha256"] in text
    for item in (*network.populations, *network.projections):
        assert item.name in text

    described = {item["name"]: item for item in describe.describe_network(every_kind)["projections"]}
    assert described["nothing"]["weights"] is None
    assert described["conv"]["kernel"] == [2, 1, 3, 2]
    assert described["sparse"]["weights"] == [-256, 254]
    assert json.dumps(plain(described))


@pytest.mark.parametrize("verb_name", ["inspect", "report", "run", "verify"])
def test_a_damaged_artifact_is_an_error_of_every_verb(artifact, samples, verb_name, capsys):
    with open("net.hsnn/bridge.json", "ab") as file:
        file.write(b" ")
    more = ["-i", "x.npy"] if verb_name == "run" else []
    assert main([verb_name, artifact, *more, "--json"]) == 1
    assert as_json(capsys)["error"]["code"] == "HSNN-A010"
    assert main([verb_name, "ghost.hsnn", *more, "--json"]) == 1
    assert as_json(capsys)["error"]["code"] == "HSNN-A005"


def test_report_is_written_beside_the_artifact(chain, artifact, folder, capsys):
    assert main(["report", artifact]) == 0
    assert capsys.readouterr().out == "net.hsnn.report.html\n"
    assert (folder / "net.hsnn.report.html").read_text(encoding="utf-8") == chain.report
    assert main(["inspect", artifact]) == 0  # the artifact is as it was
    capsys.readouterr()
    chain.save("packed.zip")
    assert main(["report", "packed.zip", "-o", "page.html", "--json"]) == 0
    result = as_json(capsys)
    assert result["bytes"] == os.path.getsize("page.html")
    assert main(["report", artifact, "-o", "net.hsnn/mine.html"]) == 2
    assert "HSNN-U137" in capsys.readouterr().err
    assert default_path("a/net.hsnn.zip").as_posix() == "a/net.hsnn.report.html"


def test_report_makes_the_page_that_the_build_left_out(chain, folder, capsys, monkeypatch):
    dataclasses.replace(chain, report=None, layers=()).save("net.hsnn")
    assert main(["report", "net.hsnn"]) == 0
    page = (folder / "net.hsnn.report.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert "pkg:net" in page
    import webbrowser

    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or False)
    capsys.readouterr()
    assert main(["report", "net.hsnn", "--open", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["opened"] is False
    assert err.startswith("warning: no browser")
    assert opened == [(folder / "net.hsnn.report.html").as_uri()]
