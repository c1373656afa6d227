"""Read a NIR file without trusting it: sizes before contents, types before values, every failure coded."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hsnn.errors import HsnnError, UnsupportedError, UsageError

if TYPE_CHECKING:
    import h5py

Fields: TypeAlias = "dict[str, Any]"

DEPTH, ENTRIES, BYTES = 24, 100_000, 1 << 30
"""Deepest nesting, most entries and most bytes, once unpacked, of a file that is read."""
_VERSIONS = re.compile(r"(0\.[0-9]+|1\.[0-9]+)(\.[0-9]+)?([^0-9].*)?")
FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    name: (frozenset(needed.split()), frozenset(optional.split()))
    for name, needed, optional in (
        ("Affine", "weight bias", ""),
        ("Linear", "weight", ""),
        ("Scale", "scale", ""),
        ("Conv1d", "weight stride padding dilation groups bias", "input_shape"),
        ("Conv2d", "weight stride padding dilation groups bias", "input_shape"),
        ("SumPool2d", "kernel_size stride padding", ""),
        ("AvgPool2d", "kernel_size stride padding", ""),
        ("Flatten", "start_dim end_dim", "input_type"),
        ("Delay", "delay", ""),
        ("Threshold", "threshold", ""),
        ("I", "r", ""),
        ("IF", "r v_threshold", "v_reset"),
        ("LI", "tau r v_leak", ""),
        ("LIF", "tau r v_leak v_threshold", "v_reset"),
        ("CubaLI", "tau_syn tau_mem r v_leak", "w_in"),
        ("CubaLIF", "tau_syn tau_mem r v_leak v_threshold", "v_reset w_in"),
        ("Input", "shape", ""),
        ("Output", "shape", ""),
        ("NIRGraph", "nodes edges", ""),
    )
}
"""Node types of nir 1.x: fields that each must have, and those that it may have."""


@dataclass(frozen=True, slots=True, eq=False)
class NirNode:
    """One node, its fields as arrays, strings or ``None``.

    Attributes:
        kind: Type, such as ``CubaLIF``.
        fields: Fields by name; floating-point ones are float64 and finite.
        metadata: Strings that the writer left with the node.
    """

    kind: str
    fields: Fields
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class NirNet:
    """A graph that may have graphs as nodes.

    Attributes:
        nodes: Nodes by name.
        edges: Pairs of names.
        metadata: Strings that the writer left with the graph.
    """

    nodes: Mapping[str, NirNode | NirNet]
    edges: tuple[tuple[str, str], ...]
    metadata: Mapping[str, str]


def read_nir(path: str | os.PathLike[str]) -> NirNet:
    """Read a file.

    Raises:
        UsageError: ``HSNN-F080``, if it is missing, damaged, no NIR file or too large; ``HSNN-F088``, if the library
            that reads such files is not installed.
        UnsupportedError: ``HSNN-F081`` for a version, node or field that nir 1.x does not have; ``HSNN-F083`` for a
            number that is not finite.
    """
    try:
        import h5py
    except ImportError as error:
        raise UsageError("HSNN-F088", "reading NIR files needs h5py and nir", fix="pip install 'hsnn[nir]'") from error
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise UsageError("HSNN-F080", f"{name!r} is no file", fix="give the path of a .nir file")
    try:
        with h5py.File(name, "r") as file:
            return _read(file)
    except HsnnError:
        raise
    # Damaged files make HDF5 raise nearly anything, in Python's name too.
    except Exception as error:
        raise UsageError(
            "HSNN-F080",
            f"{name!r} cannot be read as a NIR file: {type(error).__name__}: {str(error)[:200]}",
            allowed="an HDF5 file that nir.write wrote",
            fix="export it again",
        ) from error


def as_net(graph: Any) -> NirNet:
    """Take a graph of the ``nir`` library that is in memory.

    Raises:
        UnsupportedError: As :func:`read_nir`.
    """
    return _net(graph.to_dict(), "the graph")


def _read(file: h5py.File) -> NirNet:
    _require_file({"version", "node"} <= set(file.keys()), "the file has no version or no node")
    tree = _Reader().group(file, 0)
    version = _text(tree["version"])
    if not isinstance(version, str) or not _VERSIONS.fullmatch(version):
        raise UnsupportedError(
            "HSNN-F081", f"the file has version {str(version)[:40]!r}", allowed="NIR 0.x and 1.x", fix="update hsnn"
        )
    _require_file(isinstance(tree["node"], dict), "the node of the file is no group")
    return _net(tree["node"], "the graph")


class _Reader:
    """Copies a file into dictionaries, within the limits."""

    def __init__(self) -> None:
        self._entries = 0
        self._bytes = 0
        self._seen: set[int] = set()

    def group(self, group: h5py.Group, depth: int) -> Fields:
        import h5py

        if depth > DEPTH:
            raise UsageError("HSNN-F080", f"groups are nested deeper than {DEPTH}", fix="export it again")
        address = int(h5py.h5o.get_info(group.id).addr)
        if address in self._seen:
            raise UsageError("HSNN-F080", f"the group {group.name!r} is reached twice", fix="export it again")
        self._seen.add(address)
        found: Fields = {}
        for name in group:
            self._count(entries=1)
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise UsageError("HSNN-F080", f"{name!r} is a link to elsewhere", allowed="what the file itself holds")
            item = group[name]
            found[name] = self.group(item, depth + 1) if isinstance(item, h5py.Group) else self._dataset(item, name)
        return found

    def _dataset(self, item: Any, name: str) -> Any:
        import h5py

        kind = item.dtype.kind
        text = h5py.check_string_dtype(item.dtype) is not None
        if not text and kind not in "biufS":
            raise UsageError("HSNN-F080", f"{name!r} holds {item.dtype}", allowed="numbers and texts")
        self._count(bytes_=int(item.size or 0) * max(int(item.dtype.itemsize), 1), entries=item.size if text else 0)
        return None if item.shape is None else item[()]

    def _count(self, *, entries: int = 0, bytes_: int = 0) -> None:
        self._entries += entries
        self._bytes += bytes_
        if self._entries > ENTRIES or self._bytes > BYTES:
            raise UsageError(
                "HSNN-F080",
                f"the file declares {self._entries} entries and {self._bytes} bytes",
                allowed=f"{ENTRIES} entries and {BYTES} bytes",
            )


def _net(tree: Fields, where: str, depth: int = 0) -> NirNet:
    kind = _kind(tree, where)
    if kind != "NIRGraph" or depth > DEPTH:
        raise UnsupportedError("HSNN-F081", f"{where} is a {kind}", allowed="a NIRGraph, not nested too deeply")
    _check_fields(kind, tree, where)
    nodes = tree["nodes"]
    _require_group(nodes, f"nodes of {where}")
    made: dict[str, NirNode | NirNet] = {}
    for name, node in nodes.items():
        _require_group(node, f"node {name!r}")
        graph = _kind(node, f"node {name!r}") == "NIRGraph"
        made[name] = _net(node, f"node {name!r}", depth + 1) if graph else _node(node, f"node {name!r}")
    return NirNet(made, _edges(tree["edges"], where), _metadata(tree))


def _metadata(tree: Fields) -> Mapping[str, str]:
    metadata = tree.get("metadata")
    texts = {key: _text(value) for key, value in metadata.items()} if isinstance(metadata, dict) else {}
    return {key: value for key, value in texts.items() if isinstance(value, str)}


def _node(tree: Fields, where: str) -> NirNode:
    kind = _kind(tree, where)
    _check_fields(kind, tree, where)
    fields = {k: _value(v, f"{k} of {where}") for k, v in tree.items() if k not in ("type", "metadata", "input_type")}
    for key, value in fields.items():
        text, nothing = isinstance(value, str) and key != "padding", value is None and "shape" not in key
        if text or nothing:
            raise UnsupportedError("HSNN-F081", f"{key} of {where} is {str(value)[:40]!r}", allowed="numbers")
    return NirNode(kind, fields, _metadata(tree))


def _kind(tree: Fields, where: str) -> str:
    kind = _text(tree.get("type"))
    if not isinstance(kind, str) or kind not in FIELDS:
        raise UnsupportedError(
            "HSNN-F081", f"{where} has the type {str(kind)[:60]!r}", allowed=", ".join(FIELDS), fix="update hsnn"
        )
    return kind


def _check_fields(kind: str, tree: Fields, where: str) -> None:
    needed, optional = FIELDS[kind]
    found = set(tree) - {"type", "metadata", "version"}
    missing, unknown = sorted(needed - found), sorted(found - needed - optional)
    if missing or unknown:
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has {', '.join(unknown)}"] * bool(unknown)
        raise UnsupportedError(
            "HSNN-F081", f"{where} ({kind}) {' and '.join(parts)[:200]}", allowed=", ".join(sorted(needed | optional))
        )


def _edges(value: Any, where: str) -> tuple[tuple[str, str], ...]:
    pairs = [tuple(_text(end) for end in pair) for pair in value] if value is not None else []
    if not all(len(pair) == 2 and all(isinstance(end, str) for end in pair) for pair in pairs):
        raise UnsupportedError(
            "HSNN-F081", f"the edges of {where} are no pairs of names", fix="write it with nir.write"
        )
    return tuple((str(a), str(b)) for a, b in pairs)


def _value(value: Any, where: str) -> Any:
    if value is None or isinstance(value, str | bytes):
        return _text(value)
    if isinstance(value, dict):
        raise UnsupportedError("HSNN-F081", f"{where} is a group", allowed="numbers")
    array = np.asarray(value.detach() if hasattr(value, "detach") else value)
    if array.dtype.kind not in "biuf":
        raise UnsupportedError("HSNN-F081", f"{where} holds {array.dtype}", allowed="numbers")
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
        if not bool(np.isfinite(array).all()) or bool((np.abs(array) > 1e30).any()):
            raise UnsupportedError(
                "HSNN-F083",
                f"{where} has a NaN, an infinity or a number beyond 1e30",
                fix="write it from a checkpoint before the loss diverged",
            )
    return array


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value


def _require_file(holds: bool, found: str) -> None:
    if not holds:
        raise UsageError("HSNN-F080", found, allowed="an HDF5 file that nir.write wrote", fix="export it again")


def _require_group(value: Any, what: str) -> None:
    if not isinstance(value, dict):
        raise UnsupportedError("HSNN-F081", f"{what} is no group", allowed="a group of named fields")
