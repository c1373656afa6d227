"""Samples for the programs of tests/unit, and sessions on the reference."""

from __future__ import annotations

import numpy as np

from hsnn.runtime.session import Session


def samples(count, seed=0, features=4):
    return np.random.default_rng(seed).random((count, features)).astype(np.float32)


def reference(program, **options):
    return Session(program, target="reference", threads=1, **options)
