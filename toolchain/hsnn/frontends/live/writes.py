"""Loops over time that write each timestep into a tensor made before: ``voltages[t] = v``, ``voltages[:, t] = v``."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from hsnn.errors import UnsupportedError
from hsnn.frontends.live.operators import name_of, passes_on
from hsnn.frontends.live.picks import Pick, from_zero

_MOVES = frozenset("aten.to.device aten.to.dtype aten.to.dtype_layout aten.to.other".split())
_MAKERS = frozenset(
    "aten.zeros.default aten.empty.memory_format aten.zeros_like.default aten.empty_like.default aten.ones.default "
    "aten.new_zeros.default aten.new_empty.default aten.full.default".split()
)


def stack_writes(program: torch.export.ExportedProgram) -> None:
    """Turn writes into every index of a new tensor into one stack, in place.

    Raises:
        UnsupportedError: ``HSNN-F092``, if something is written otherwise.
    """
    graph = program.graph
    written: dict[fx.Node, list[fx.Node]] = {}
    for node in graph.nodes:
        if name_of(node) in ("aten.copy_.default", "aten.fill_.Tensor", "aten.index_put_.default"):
            written.setdefault(_buffer(node) or node, []).append(node)
    for buffer, writes in written.items():
        picks = [_pick(node) for node in writes]
        if any(pick is None or pick[0] is not buffer for pick in picks) or not _is_new(buffer):
            raise _unclear(writes[0])
        dims, steps = {pick[1] for pick in picks if pick}, [pick[2] for pick in picks if pick]
        (dim, *others) = dims
        extent = buffer.meta["val"].shape[dim]
        order = {node: index for index, node in enumerate(graph.nodes)}
        views = {user for user in buffer.users if order[user] < order[writes[-1]]}
        once = sorted(steps) == list(range(extent)) if isinstance(extent, int) else False
        if others or not once or len(views) != len(writes):
            raise _unclear(writes[0])
        values = [node.args[1] for _, node in sorted(zip(steps, writes, strict=True), key=lambda item: item[0])]
        with graph.inserting_after(writes[-1]):
            stack = graph.call_function(torch.ops.aten.stack.default, (values, dim))
        stack.meta.update(buffer.meta)
        for user in [item for item in buffer.users if item not in views]:
            user.replace_input_with(buffer, stack)


def _buffer(node: fx.Node) -> fx.Node | None:
    pick = _pick(node)
    return pick[0] if pick else None


def _is_new(buffer: Any) -> bool:
    """Tell whether a tensor was made for what is written, and perhaps moved: ``torch.zeros(4).to(x.device)``."""
    while name_of(buffer) in _MOVES:
        buffer = buffer.args[0]
    return name_of(buffer) in _MAKERS


def _pick(node: fx.Node) -> Pick | None:
    """Return tensor, axis and index that a node writes all of, with a value of that very shape."""
    if name_of(node) != "aten.copy_.default":
        return None
    view = _bare(node.args[0])
    value: Any = node.args[1]
    if name_of(view) != "aten.select.int" or not isinstance(value, fx.Node):
        return None
    if value.meta["val"].shape != view.meta["val"].shape or value.meta["val"].dtype != view.meta["val"].dtype:
        return None
    source, dim, index = view.args
    return from_zero(_bare(source), dim, index)


def _bare(view: Any) -> Any:
    """Leave out slices that take all of an axis, which ``[:]`` makes."""
    while name_of(view) == "aten.slice.Tensor" and passes_on(view):
        view = view.args[0]
    return view


def _unclear(node: fx.Node) -> UnsupportedError:
    return UnsupportedError(
        "HSNN-F092",
        f"the loop over time writes into a tensor in place, in a way that cannot be understood ({node.name})",
        allowed="voltages[t] = v or voltages[:, t] = v, once for every index of one axis of a tensor made for it",
        fix="collect the outputs in a list, and stack them with torch.stack",
    )
