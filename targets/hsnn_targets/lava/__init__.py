"""Lava's simulation of Loihi 2, in a supervised worker process."""

from hsnn_targets.lava.target import LavaTarget

TARGET = LavaTarget()
