"""The emulator: batched, compiled, and equal to the integer reference bit for bit."""

from hsnn_targets.emulator.target import EmulatorTarget

TARGET = EmulatorTarget()
