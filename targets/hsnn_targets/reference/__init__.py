"""The integer reference: slow, plain numpy, written to be read; every other back end is held to it."""

from hsnn_targets.reference.machine import ReferenceTarget

TARGET = ReferenceTarget()
