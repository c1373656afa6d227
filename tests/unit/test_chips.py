"""Chip descriptions: the one that comes along, files of a user's own, and everything that can be wrong in one."""

from __future__ import annotations

from dataclasses import fields, replace
from importlib.resources import files

import pytest

from hsnn.errors import UsageError
from hsnn.ir.arithmetic import DELAY_MAX
from hsnn.ir.chip import Chip, Limit
from hsnn.passes.mapping import chips
from hsnn.passes.mapping.chips import LIMITS, chip_names, load_chip, parse_chip
from hsnn_targets.chips import LOIHI2

TEXT = LOIHI2.read_text(encoding="utf-8")


def test_loihi2_is_found_by_name():
    assert "loihi2" in chip_names()
    chip = load_chip("loihi2")
    assert chip.name == "loihi2"
    assert chip.neurocores == Limit(
        120,
        "neurocores",
        "lava-nc compiler/subcompilers/constants.py at b6822fb, NUM_VIRTUAL_CORES_L3; the die has 128",
        "published",
    )
    assert (chip.neurons.value, chip.neurons.status) == (8192, "published")
    assert (chip.synapse_bits.value, chip.synapse_bits.status) == (128 * 1024 * 8, "assumed")
    assert (chip.axons_in.value, chip.axons_out.value) == (4096, 4096)
    assert chip.delay.value == DELAY_MAX - 1
    assert chip.conv_shared.value == 1


@pytest.mark.parametrize("name", [file.name for file in files("hsnn_targets.chips").iterdir() if ".toml" in file.name])
def test_every_shipped_description_is_valid_and_says_where_it_comes_from(name):
    chip = parse_chip(files("hsnn_targets.chips").joinpath(name).read_text(encoding="utf-8"), origin=name)
    for field in fields(Chip)[2:]:
        limit = getattr(chip, field.name)
        assert limit.status in ("published", "measured", "assumed")
        assert len(limit.source) > 10


def test_a_file_of_the_users_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TEXT.replace('name = "loihi2"', 'name = "mine"').replace("value = 120", "value = 7"))
    for given in (path, str(path)):
        chip = load_chip(given)
        assert (chip.name, chip.neurocores.value) == ("mine", 7)
    assert str(chip.neurocores).startswith("7 neurocores (published: ")


def test_a_base_gives_the_limits_that_a_file_does_not(tmp_path):
    path = tmp_path / "mine.toml"
    own = '[limits.delay]\nvalue = 3\nunit = "timesteps"\nsource = "measured by me"\nstatus = "measured"\n'
    path.write_text(f'name = "mine"\ndescription = "d"\nbase = "kapoho-point"\n{own}')
    chip, board, loihi2 = load_chip(path), load_chip("kapoho-point"), load_chip("loihi2")
    assert chip == replace(
        board, name="mine", description="d", delay=Limit(3, "timesteps", "measured by me", "measured")
    )
    assert board == replace(loihi2, name=board.name, description=board.description, neurocores=board.neurocores)
    assert (loihi2.neurocores.value, board.neurocores.value) == (120, 960)
    assert load_chip("hala-point").neurocores.value == 140_544
    for base, code, part in (
        ("'no-chip'", "C001", "there is no chip"),
        ("3", "C005", "base is 3"),
        ("''", "C005", "empty"),
    ):
        path.write_text(f'name = "mine"\ndescription = "d"\nbase = {base}\n')
        with pytest.raises(UsageError, match=f"HSNN-{code}.*{part}"):
            load_chip(path)
    path.write_text('name = "mine"\ndescription = "d"\nbase = "loihi2"\n[limits.neurocore]\nvalue = 3\n')
    with pytest.raises(UsageError, match=r"HSNN-C003.*neurocore\b"):
        load_chip(path)


def test_chips_that_are_each_others_base_are_refused(monkeypatch):
    monkeypatch.setattr(chips, "_installed", lambda name: f'base = "{"a" if name == "b" else "b"}"')
    with pytest.raises(UsageError, match=r"HSNN-C005.*whose base it is"):
        parse_chip('base = "a"', origin="mine")


def test_a_relative_path_needs_only_the_suffix(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    assert load_chip("mine.toml").name == "loihi2"


def test_an_unknown_name_lists_what_there_is(monkeypatch):
    monkeypatch.setattr(chips, "entry_points", lambda group: [])
    with pytest.raises(UsageError, match="HSNN-C001") as caught:
        load_chip("loihi3")
    assert "'loihi3'" in caught.value.found
    assert "path of a .toml file" in caught.value.allowed


def test_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match="HSNN-C001") as caught:
        load_chip(tmp_path / "none.toml")
    assert "none.toml" in caught.value.found


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    (tmp_path / "broken.toml").write_text("name = ")
    for name in ("folder.toml", "latin.toml", "broken.toml"):
        with pytest.raises(UsageError, match="HSNN-C002") as caught:
            load_chip(tmp_path / name)
        assert name in caught.value.found


def replaced(old, new):
    assert TEXT.count(old) >= 1
    return TEXT.replace(old, new, 1)


NEUROCORES = '[limits.neurocores]\nvalue = 120\nunit = "neurocores"'


@pytest.mark.parametrize(
    ("code", "text", "named"),
    [
        ("HSNN-C003", TEXT + "\n[limits.colour]\nvalue = 1\n", "colour"),
        ("HSNN-C003", 'owner = "me"\n' + TEXT, "owner"),
        ("HSNN-C003", replaced(NEUROCORES, NEUROCORES + "\nsize = 2"), "limits.neurocores has unknown keys: size"),
        ("HSNN-C004", replaced('name = "loihi2"\n', ""), "lacks name"),
        ("HSNN-C004", TEXT[: TEXT.index("[limits.conv_shared]")], "lacks conv_shared"),
        ("HSNN-C004", replaced("value = 120\n", ""), "limits.neurocores lacks value"),
        ("HSNN-C005", replaced("value = 120", 'value = "120"'), "limits.neurocores: value is '120'"),
        ("HSNN-C005", replaced("value = 120", "value = 120.0"), "value is 120.0"),
        ("HSNN-C005", replaced("value = 120", "value = true"), "value is True"),
        ("HSNN-C005", replaced("value = true", "value = 1"), "limits.conv_shared: value is 1"),
        ("HSNN-C005", replaced('unit = "neurocores"', 'unit = " "'), "unit is empty"),
        ("HSNN-C005", replaced('status = "published"', 'status = "rumour"'), "status is 'rumour'"),
        ("HSNN-C005", replaced('name = "loihi2"', "name = 2"), "name is 2"),
        ("HSNN-C005", 'name = "x"\ndescription = "y"\nlimits = 3\n', "limits is 3"),
        ("HSNN-C006", replaced("value = 120", "value = 0"), "value is 0"),
        ("HSNN-C006", replaced("value = 120", "value = -1"), "value is -1"),
        ("HSNN-C006", replaced("value = 62", "value = -1"), "limits.delay: value is -1"),
        ("HSNN-C006", replaced("value = 120", "value = 9_223_372_036_854_775_807"), "value is 9223372036854775807"),
    ],
)
def test_every_mistake_is_named(code, text, named):
    with pytest.raises(UsageError, match=code) as caught:
        parse_chip(text, origin="my.toml")
    assert "my.toml" in caught.value.found
    assert named in caught.value.found
    assert caught.value.exit_status == 2


def test_limits_that_may_be_zero():
    chip = parse_chip(replaced("value = 62", "value = 0"), origin="my.toml")
    assert chip.delay.value == 0


def test_descriptions_have_a_table_for_every_limit():
    assert set(LIMITS) == {field.name for field in fields(Chip)} - {"name", "description"}
