"""Loihi 2 boards, through Intel's extension of Lava."""

from hsnn_targets.loihi2.target import Loihi2Target

TARGET = Loihi2Target()
