"""Roll the calls of a loop over time into one operation on spike trains.

A *family* is a tuple of nodes, one for each timestep, that do the same. It is followed backwards from what a neuron
gets at every timestep: nodes that are one and the same do not depend on time; outputs of one neuron in order are its
spike train, or that train one timestep later; ``x[t]`` is a train that comes from elsewhere; and everything else has to
be the same operator on families.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from torch import fx

from hsnn.errors import UnsupportedError
from hsnn.frontends.live.arguments import flat, mapped
from hsnn.frontends.live.graph import Traced
from hsnn.frontends.live.opaque import OPAQUE
from hsnn.frontends.live.operators import RESHAPES, name_of, passes_on
from hsnn.frontends.live.picks import pick, unwrapped
from hsnn.frontends.live.place import Placer
from hsnn.frontends.live.program import Program
from hsnn.frontends.live.values import Forms, Layout, Plain, Timed, delay, merged_reshape, scope_of, shape_of

Family = tuple[fx.Node, ...]
_NULLS = {"aten.zeros.default", "aten.zeros_like.default", "aten.new_zeros.default"}


class Roller:
    """Rolls families.

    Args:
        traced: The model.
        program: Where the steps go.
        forms: Turns values into the form that a step wants.
        value: Returns what a single node is, outside the loop.
    """

    def __init__(
        self, traced: Traced, program: Program, *, forms: Forms, placer: Placer, value: Callable[[fx.Node], Any]
    ) -> None:
        self._traced, self._program, self._forms, self._placer, self._value = traced, program, forms, placer, value
        self._rolled: dict[Family, Any] = {}
        self._open: list[str] = []
        self._neurons: dict[str, tuple[Timed | None, ...]] = {}

    def family(self, nodes: Family) -> Any:
        """Return the rolled value of a family.

        Raises:
            UnsupportedError: ``HSNN-F092``, if it cannot be rolled, with the operator that stands in the way.
        """
        if nodes not in self._rolled:
            self._rolled[nodes] = self._roll(nodes)
        return self._rolled[nodes]

    def neuron(self, path: str) -> tuple[Timed | None, ...]:
        """Return all outputs of a neuron that sees one timestep at a time."""
        if path not in self._neurons:
            if path in self._open:
                others = [item for item in self._open[self._open.index(path) :] if item != path]
                through = f" by way of {', '.join(map(self._traced.title, others))}" if others else ""
                raise UnsupportedError(
                    "HSNN-F092",
                    f"what {self._traced.title(path)} sends comes back to it{through} at the next timestep",
                    allowed="feedback inside a recurrent neuron such as snnTorch's RLeaky or hsnn.nn.RecurrentLif",
                )
            self._open.append(path)
            calls = self._traced.calls[path]
            self._check_states(path)
            drive = self.family(tuple(call.args[0] for call in calls))  # type: ignore[misc]
            if isinstance(drive, Plain):
                drive = Timed(drive.ref, "static", len(calls), "step")
            self._neurons[path] = self._placer.place(path, drive)
            self._open.pop()
        return self._neurons[path]

    def output(self, path: str, index: int) -> Timed:
        """Return an output of a neuron that sees one timestep at a time."""
        return self._placer.readable(path, index, self.neuron(path)[index])

    def _roll(self, nodes: Family) -> Any:
        first = nodes[0]
        if all(node is first for node in nodes):
            return self._value(first)
        neuron = self._of_neuron(nodes)
        if neuron is not None:
            return neuron
        selected = self._selected(nodes)
        if selected is not None:
            return selected
        self._check_same(nodes)
        if passes_on(first):
            return self.family(tuple(node.args[0] for node in nodes))  # type: ignore[misc]
        args = self._arguments([node.args for node in nodes], nodes)
        kwargs = self._arguments([dict(node.kwargs) for node in nodes], nodes)
        return self.apply(first, args, kwargs)

    def apply(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        """Apply a node's operator to values whose leading axis is a batch, all timesteps at once."""
        scope = scope_of(node)
        timed = [item for item in flat((args, kwargs)) if isinstance(item, Timed)]
        if not timed:
            ref = self._program.function(node.target, *_refs(args), scope=scope, **_refs(kwargs))  # type: ignore[arg-type]
            return Plain(ref, shape_of(node, self._traced.batch))
        timesteps, layout = timed[0].timesteps, timed[0].layout
        static = all(item.form == "static" for item in timed)

        def held(item: Any) -> Any:
            if isinstance(item, Plain) and item.has_batch:
                item = Timed(item.ref, "static", timesteps, layout)
            if isinstance(item, Timed):
                return item.ref if static else self._forms.merged(item, scope)
            return item.ref if isinstance(item, Plain) else item

        form = "static" if static else "merged"
        if name_of(node) in RESHAPES:
            shape = shape_of(node, self._traced.batch) or ()
            ref = self._program.function(merged_reshape, held(args[0]), shape[1:], scope=scope)
            return Timed(ref, form, timesteps, layout)  # type: ignore[arg-type]
        if any(isinstance(item, Plain) and item.shape is None for item in flat((args, kwargs))):
            raise self._unrolled(node, "it depends on the batch size")
        ref = self._program.function(
            node.target,  # type: ignore[arg-type]
            *mapped(args, held),
            scope=scope,
            **mapped(kwargs, held),
        )
        return Timed(ref, form, timesteps, layout)  # type: ignore[arg-type]

    def _of_neuron(self, nodes: Family) -> Timed | None:
        """Return a neuron's output, or its output of the timestep before."""
        last = nodes[-1]
        if last.target is not operator.getitem or last.args[0].target is not OPAQUE:  # type: ignore[union-attr]
            return None
        path, index = str(last.args[0].args[2]), int(last.args[1])  # type: ignore[arg-type,union-attr]
        sources = self._traced.calls[path]
        if self._traced.neurons[path].layout != "step":
            return None
        order = [_position(node, sources, index) for node in nodes]
        if order == list(range(len(sources))):
            return self.output(path, index)
        if order[1:] == list(range(len(sources) - 1)) and self.is_null(nodes[0]):
            value = self.output(path, index)
            train = self._forms.train(value, scope_of(last))
            return Timed(
                self._program.function(delay, train, 1, scope=scope_of(last)), "train", value.timesteps, "step"
            )
        raise self._unrolled(last, f"it takes what {self._traced.title(path)} sent at other timesteps: {order}")

    def _selected(self, nodes: Family) -> Timed | None:
        """Return the train that a loop goes through with ``x[t]``."""
        picks = [pick(node) for node in nodes]
        if any(found is None for found in picks) or len({found[:2] for found in picks if found}) > 1:
            return None
        source, dim, _ = picks[0]  # type: ignore[misc]
        shape = shape_of(source, self._traced.batch) or ()
        order = [found[2] for found in picks if found]
        if order != list(range(shape[dim])):
            raise self._unrolled(nodes[0], f"the loop goes through timesteps {order} of {shape[dim]}")
        value = self._value(source)
        if isinstance(value, Plain) and not value.has_batch:
            raise self._weights_over_time(nodes[0], f"weights of shape {shape}, one for each timestep")
        layout: Layout = "time_first" if dim == 0 else "batch_first"
        if dim > 1 and dim == len(shape) - 1:
            layout = "time_last"
        elif dim > 1:
            raise self._unrolled(nodes[0], f"it takes x[t] along axis {dim}, which is not time")
        if isinstance(value, Plain):
            value = self._placer.start(value, layout, nodes[0])
        if value.layout != layout:
            raise self._unrolled(nodes[0], f"it takes x[t] along axis {dim}, which is not time")
        return value.seen_as("step")  # type: ignore[no-any-return]

    def _check_states(self, path: str) -> None:
        """Check that each call takes the state that the call before returned, and the first one none."""
        neuron, calls = self._traced.neurons[path], self._traced.calls[path]
        for step, call in enumerate(calls):
            states = [unwrapped(item) for item in call.args[1]]  # type: ignore[union-attr]
            if step == 0:
                if not all(self.is_null(state) for state in states):
                    raise self._state(path, "starts from a state that is not zero")
            elif not states and not neuron.keeps_state:
                raise self._state(path, f"starts again from zero at timestep {step}: no state is passed to it")
            elif states:
                before = [_position(state, calls, index) for state, index in zip(states, neuron.states, strict=True)]
                if before != [step - 1] * len(states):
                    raise self._state(path, f"does not get the state of timestep {step - 1} at timestep {step}")

    def is_null(self, node: fx.Node) -> bool:
        """Tell whether a node is zero everywhere, or empty."""
        bare = unwrapped(node)
        shape = shape_of(bare, self._traced.batch)
        if shape is not None and 0 in shape:
            return True
        if bare in self._traced.weights:
            return bool((self._traced.weights[bare][1] == 0).all())
        if name_of(bare) in ("aten.full.default", "aten.full_like.default"):
            return bool(bare.args[1] == 0)
        if name_of(bare) in ("aten.expand.default", "aten._to_copy.default", "aten.to.dtype"):
            return self.is_null(bare.args[0])  # type: ignore[arg-type]
        return name_of(bare) in _NULLS

    def _check_same(self, nodes: Family) -> None:
        first = nodes[0]
        other = next((node for node in nodes if node.target is not first.target or node.op != first.op), None)
        if other is None and first.op == "call_function" and first.target is not OPAQUE:
            return
        other = other or first
        if first in self._traced.weights and other in self._traced.weights:
            used = [self._traced.weights[node][0] for node in (first, other)]
            raise self._weights_over_time(other, f"{used[0]!r} at the first timestep and {used[1]!r} at another")
        raise self._unrolled(other, f"it is {name_of(first)} at the first timestep and {name_of(other)} at another")

    def _arguments(self, items: list[Any], nodes: Family) -> Any:
        first = items[0]
        if isinstance(first, fx.Node):
            if not all(isinstance(item, fx.Node) for item in items):
                raise self._unrolled(nodes[0], "an argument of it is a tensor at some timesteps only")
            return self.family(tuple(items))
        if isinstance(first, list | tuple):
            if any(not isinstance(item, list | tuple) or len(item) != len(first) for item in items):
                raise self._unrolled(nodes[0], "its arguments are not alike at all timesteps")
            return type(first)(self._arguments(list(parts), nodes) for parts in zip(*items, strict=True))
        if isinstance(first, dict):
            if any(item.keys() != first.keys() for item in items):
                raise self._unrolled(nodes[0], "its arguments are not alike at all timesteps")
            return {key: self._arguments([item[key] for item in items], nodes) for key in first}
        if any(item != first for item in items):
            raise self._unrolled(nodes[0], f"an argument of it depends on the timestep: {items[:4]}")
        return first

    def _unrolled(self, node: fx.Node, why: str) -> UnsupportedError:
        scope = scope_of(node)
        where = self._traced.title(scope) if scope else type(self._traced.module).__name__
        return UnsupportedError(
            "HSNN-F092",
            f"the loop over time cannot be understood at {name_of(node)} in {where}: {why}",
            allowed="the same operations at every timestep, on what neurons send at that timestep or the one before",
            fix="keep the loop to layers and neurons, and collect their outputs in a list or a sum",
        )

    def _weights_over_time(self, node: fx.Node, found: str) -> UnsupportedError:
        scope = scope_of(node)
        return UnsupportedError(
            "HSNN-F092",
            f"the loop over time in {self._traced.title(scope) if scope else type(self._traced.module).__name__} takes "
            f"other weights at other timesteps: {found}",
            allowed="the same weights at every timestep",
            fix="behind the last neurons, collect what they send with torch.stack, and multiply the whole; in front of "
            "neurons, use one set of weights",
        )

    def _state(self, path: str, what: str) -> UnsupportedError:
        return UnsupportedError(
            "HSNN-F093",
            f"{self._traced.title(path)} {what}",
            allowed="a state that starts at zero, and goes from each call to the next",
            fix="pass the state that the last call returned, and none at the first timestep",
        )


def _position(node: fx.Node, calls: tuple[fx.Node, ...], index: int) -> int | None:
    """Return at which call a node is output ``index``; ``None`` if it is none of them."""
    bare = unwrapped(node)
    if bare.target is not operator.getitem or bare.args[1] != index or bare.args[0] not in calls:
        return None
    return calls.index(bare.args[0])


def _refs(item: Any) -> Any:
    return mapped(item, lambda part: part.ref if isinstance(part, Plain | Timed) else part)
