"""What codes cost, measured on the few images that come with hsnn_models."""

from __future__ import annotations

import json

import pytest

from hsnn_models import data, has8_codes


def test_bit_planes_need_fewer_spikes_at_an_equal_error(monkeypatch, capsys):
    monkeypatch.setattr(data, "fashion", lambda split, root=None: data.fashion_subset(split))
    monkeypatch.setattr("sys.argv", ["has8_codes", "--threads", "1", "--samples", "100", "--json"])
    assert has8_codes.main() == 0
    codes = json.loads(capsys.readouterr().out)
    planes = {code["timesteps"]: code for code in codes if code["code"] == "bit planes"}
    rates = {code["timesteps"]: code for code in codes if code["code"] == "rate"}
    assert planes[8]["error"] < 1e-6
    assert planes[8]["accuracy"] > 0.85
    assert [planes[count]["error"] for count in (8, 6, 5, 4, 3)] == sorted(code["error"] for code in planes.values())
    for few, many in ((5, 16), (6, 32)):  # equal errors
        assert planes[few]["error"] == pytest.approx(rates[many]["error"], rel=0.2)
        assert planes[few]["spikes"] < 0.5 * rates[many]["spikes"]
