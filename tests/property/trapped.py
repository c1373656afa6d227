"""Run tests with the machine code of the tier ``amx`` on a processor that lacks tiles: ``trapped.py ARGS``.

The processor needs AVX-512; the instructions of tiles are carried out by ``tests/support/tile_traps.py``, which refuses
memory that is none of the kernel's arrays. The tests find the tiers ``portable`` and ``amx``. ``ARGS`` are pytest's.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from llvmlite import binding

sys.path.insert(0, str(Path(__file__).parents[1]))

from hsnn_targets.emulator import tiers
from hsnn_targets.emulator.kernel import Bound
from support.tile_traps import trap


def memory_of(words):
    """Where the arrays of a kernel's argument lie: (first byte, behind the last)."""
    left = iter(words.words)

    def walk(kind):
        if isinstance(kind, tuple) and isinstance(kind[0], np.dtype):
            first, shape = next(left), [next(left) for _ in range(kind[1])]
            yield first, first + math.prod(shape) * kind[0].itemsize
        elif isinstance(kind, tuple):
            for part in kind[1]:
                yield from walk(part)
        elif kind is not None:
            next(left)

    return list(walk(words.kind))


def tell_memory(threads):
    """Tell the tiles of a thread what the kernel that it calls was given."""
    plain = Bound.__call__

    def call(self, *arguments):
        threads[threading.get_ident()].memory = [place for words in self._held for place in memory_of(words)]
        plain(self, *arguments)

    Bound.__call__ = call


def main():
    features = binding.get_host_cpu_features()
    if "avx512" not in tiers.tiers_of(features):
        raise SystemExit("this processor lacks AVX-512")
    features.update(dict.fromkeys(tiers.NEEDED["amx"], True))
    binding.get_host_cpu_features = lambda: features
    tiers.usable_tiers = lambda: ("portable", "amx")
    threads = trap()
    tell_memory(threads)
    # faulthandler would take SIGILL.
    off = [part for name in ("cacheprovider", "faulthandler", "xdist") for part in ("-p", f"no:{name}")]
    status = pytest.main([*off, *sys.argv[1:]])
    done = sum((tiles.done for tiles in threads.values()), Counter())
    sys.stdout.write(f"carried out on {len(threads)} threads: {dict(done)}\n")
    os._exit(int(status))


if __name__ == "__main__":
    main()
