"""Changes of HDF5 files that HDF5 itself does not mind: sizes, links, types, numbers."""

from __future__ import annotations

import pickle

import numpy as np


def entries(group, depth=0):
    """Names of all that a file holds; links that lead back are followed a few times only."""
    import h5py

    found = []
    for item in filter(None, group.values()):
        found.append(item.name)
        if isinstance(item, h5py.Group) and depth < 3:
            found += entries(item, depth + 1)
    return found


def edits(root):
    """Changes, each called with file, group, name in it and a generator; ``root`` is the group that links lead to.

    The more likely one, of numbers, is there several times.
    """
    import h5py

    def cycle(file, group, leaf, rng):
        group[leaf + "2"] = file[root]

    def external(file, group, leaf, rng):
        del group[leaf]
        group[leaf] = h5py.ExternalLink("/etc/passwd", "/")

    return (
        _removed,
        _huge,
        cycle,
        external,
        *[_numbers] * 5,
        _replaced(lambda rng: h5py.SoftLink(root)),
        _replaced(lambda rng: np.frombuffer(pickle.dumps([print]), np.uint8)),
        _replaced(lambda rng: h5py.Empty("f8")),
        _replaced(lambda rng: rng.choice([-1, 0, 1 << 40, 2.5])),
    )


def _replaced(value):
    def edit(file, group, leaf, rng):
        del group[leaf]
        group[leaf] = value(rng)

    return edit


def _removed(file, group, leaf, rng):
    del group[leaf]


def _huge(file, group, leaf, rng):
    del group[leaf]
    group.create_dataset(leaf, (1 << 20, 1 << 20), "f8", chunks=(1024, 1024), compression="gzip")


def _numbers(file, group, leaf, rng):
    import h5py

    item = group[leaf]
    old = item[()] if isinstance(item, h5py.Dataset) and (item.size or 0) < 10_000 else None
    if not isinstance(old, np.ndarray) or old.dtype.kind not in "if":
        return
    changed = [
        np.full_like(old, np.nan) if old.dtype.kind == "f" else -old,
        np.full_like(old, np.inf) if old.dtype.kind == "f" else old + (1 << 40),
        np.zeros_like(old),
        -old,
        np.concatenate([old.reshape(-1), old.reshape(-1)]),
        old[None],
        old.astype("c16"),
    ]
    del group[leaf]
    group[leaf] = changed[int(rng.integers(len(changed)))]
