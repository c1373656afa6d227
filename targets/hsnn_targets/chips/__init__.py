"""Chip descriptions, one a file; each entry of the group ``hsnn.chips`` names one of these."""

from importlib.resources import files

LOIHI2 = files(__package__).joinpath("loihi2.toml")
KAPOHO_POINT = files(__package__).joinpath("kapoho-point.toml")
HALA_POINT = files(__package__).joinpath("hala-point.toml")
