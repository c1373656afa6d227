"""Turn a traced model into one of hsnn layers: every value is ordinary, or has a value for each timestep."""

from __future__ import annotations

import operator
from typing import Any

from torch import fx

from hsnn.errors import UnsupportedError
from hsnn.frontends.live.arguments import flat
from hsnn.frontends.live.graph import Traced, timesteps_of
from hsnn.frontends.live.opaque import LATER_NODE, OPAQUE
from hsnn.frontends.live.operators import ADDITIONS, PERMUTES, RESHAPES, argument, name_of, passes_on
from hsnn.frontends.live.place import Placer
from hsnn.frontends.live.program import Program, Ref, Rolled
from hsnn.frontends.live.roll import Roller
from hsnn.frontends.live.time_axes import TimeAxes
from hsnn.frontends.live.values import (
    BATCH_SIZE,
    Forms,
    Layout,
    Plain,
    Timed,
    merged_reshape,
    read_membrane,
    scope_of,
    shape_of,
    sum_over_time,
)


def rolled(traced: Traced, *, inputs: tuple[str, ...], binary: frozenset[str]) -> tuple[Rolled, tuple[Layout, ...]]:
    """Return the model with its neurons as hsnn layers on spike trains.

    Outputs that are trains come batch first, whatever they are in the user's model: a program joins results along the
    batch. The second value tells for each output which axes it has in the user's model.

    Args:
        traced: The model.
        inputs: Names of its inputs.
        binary: Those that held nothing but 0 and 1 in the samples.

    Raises:
        UnsupportedError: ``HSNN-F092`` to ``HSNN-F094``, if its use of time cannot be understood.
    """
    interpreter = _Interpreter(traced, inputs, binary)
    module = interpreter.model()
    return module, tuple(interpreter.layouts)


class _Interpreter:
    def __init__(self, traced: Traced, inputs: tuple[str, ...], binary: frozenset[str]) -> None:
        self._traced, self._inputs = traced, inputs
        self._program = Program(inputs)
        self._forms = Forms(self._program)
        self._placer = Placer(traced, self._program, forms=self._forms, binary=frozenset(map(Ref, binary)))
        self._roller = Roller(traced, self._program, forms=self._forms, placer=self._placer, value=self.value)
        self._axes = TimeAxes(
            self._program, forms=self._forms, roller=self._roller, placer=self._placer, batch=traced.batch
        )
        self._values: dict[fx.Node, Any] = {}
        self._timesteps = timesteps_of(traced)
        self.layouts: list[Layout] = []

    def model(self) -> Rolled:
        # None and numbers are no outputs.
        returned = [item for item in self._traced.outputs if isinstance(item, fx.Node)]
        tensors = tuple(item for item in returned if shape_of(item, self._traced.batch) is not None)
        return self._program.module(self._output(tensors))

    def value(self, node: fx.Node) -> Any:
        """Return what a node is: a ``Plain`` or ``Timed`` value, or a tuple of them."""
        if node not in self._values:
            self._values[node] = self._evaluated(node)
        return self._values[node]

    def _evaluated(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return self._placeholder(node)
        if node.target is operator.getitem and node.args[0].target is OPAQUE:  # type: ignore[union-attr]
            return self._of_neuron(node)
        found: Any = self._sum_of_timesteps(node)
        if found is None:
            found = self._stack(node)
        if found is None:
            found = self._repeated(node)
        if found is not None:
            return found
        args, kwargs = self._arguments(node.args), self._arguments(dict(node.kwargs))
        if node.target is LATER_NODE and isinstance(args[0], Plain):
            args = (self._placer.start(args[0], "time_last", node), *args[1:])
        if node.target is operator.getitem and isinstance(args[0], tuple):
            return args[0][args[1]]
        if any(isinstance(item, Timed) for item in flat((args, kwargs))):
            return self._axes.apply(node, args, kwargs)
        value = self._roller.apply(node, args, kwargs)
        if name_of(node) in RESHAPES | PERMUTES and isinstance(args[0], Plain):
            self._placer.rearranged(args[0], value)
        return value

    def _placeholder(self, node: fx.Node) -> Plain:
        shape = shape_of(node, self._traced.batch)
        if node in self._traced.weights:
            path, tensor = self._traced.weights[node]
            return Plain(self._program.weight(path, tensor), shape)
        return Plain(Ref(node.name), shape)

    def _of_neuron(self, node: fx.Node) -> Plain | Timed:
        """Return the output of a neuron: one timestep of it, or its train."""
        call, index = node.args
        path = str(call.args[2])  # type: ignore[union-attr]
        calls = self._traced.calls[path]
        if self._traced.neurons[path].layout != "step":
            return self._train_of(path, call, int(index))  # type: ignore[arg-type]
        value = self._roller.output(path, int(index))  # type: ignore[arg-type]
        train, at = self._forms.train(value, path), calls.index(call)
        if at == len(calls) - 1:
            ref = self._program.function(read_membrane, train, "last")
        else:
            ref = self._program.function(sum_over_time, train, at, at + 1)
        return Plain(ref, shape_of(node, self._traced.batch))

    def _train_of(self, path: str, call: Any, index: int) -> Timed:
        neuron, title = self._traced.neurons[path], self._traced.title(path)
        if len(self._traced.calls[path]) > 1:
            raise UnsupportedError(
                "HSNN-F093",
                f"{title} is called {len(self._traced.calls[path])} times on whole spike trains",
                allowed="one call of each neuron",
                fix="give every place where neurons stand a module of its own",
            )
        if call.args[1] and not all(self._roller.is_null(state) for state in call.args[1]):
            raise UnsupportedError("HSNN-F093", f"{title} starts from a state that is passed to it", allowed="none")
        drive = self.value(call.args[0])
        if isinstance(drive, Plain):
            drive = self._placer.start(drive, neuron.layout, call, merged=neuron.timesteps or 0)
        if drive.layout != neuron.layout:
            raise UnsupportedError(
                "HSNN-F094",
                f"{title} takes axes {neuron.layout.replace('_', ' ')} but gets {drive.layout.replace('_', ' ')}",
                allowed="the axes that the library documents",
            )
        if neuron.timesteps not in (None, drive.timesteps):
            raise UnsupportedError(
                "HSNN-F094",
                f"{title} is made for {neuron.timesteps} timesteps and gets {drive.timesteps}",
                fix="build the neuron for as many timesteps as it gets",
            )
        key = call
        if key not in self._values:
            self._values[key] = self._placer.place(path, drive)
        return self._placer.readable(path, index, self._values[key][index])

    def _sum_of_timesteps(self, node: fx.Node) -> Plain | None:
        """Return the sum over time that a chain of additions makes, one addition for each timestep."""
        steps = self._traced.steps
        terms: list[fx.Node] = []
        rest: Any = node
        while name_of(rest) in ADDITIONS and rest in steps and len(rest.args) == 2 and not rest.kwargs:
            parts = sorted(rest.args, key=lambda item: steps.get(item, -1) if isinstance(item, fx.Node) else -1)
            if len(terms) and steps[rest] != steps[terms[-1]] - 1:
                break
            terms.append(parts[1])
            rest = parts[0]
            if not isinstance(rest, fx.Node) or rest not in steps:
                break
        if rest in steps if isinstance(rest, fx.Node) else False:
            terms.append(rest)
            rest = 0
        null = rest == 0 if not isinstance(rest, fx.Node) else self._roller.is_null(rest)
        order = [steps.get(term, -1) if isinstance(term, fx.Node) else -1 for term in reversed(terms)]
        if not null or len(terms) < 2 or order != list(range(self._timesteps or 0)):
            return None
        family = self._roller.family(tuple(reversed(terms)))
        train = self._forms.train(family, scope_of(node))
        ref = self._program.function(sum_over_time, train, 0, family.timesteps, scope=scope_of(node))
        return Plain(ref, shape_of(node, self._traced.batch))

    def _stack(self, node: fx.Node) -> Timed | None:
        """Return the train that a stack of timesteps makes."""
        if name_of(node) != "aten.stack.default":
            return None
        parts = tuple(node.args[0])  # type: ignore[arg-type]
        rank = len(shape_of(node, self._traced.batch) or ())
        dim = argument(node, 1, "dim", 0) % rank
        if (dim > 1 and dim != rank - 1) or len(parts) < 2 or not self._in_time(parts):
            return None
        family = self._roller.family(parts)
        layout = "time_first" if dim == 0 else "batch_first" if dim == 1 else "time_last"
        if isinstance(family, Plain):
            return Timed(family.ref, "static", len(parts), layout) if family.has_batch else None  # type: ignore[arg-type]
        return family.seen_as(layout)  # type: ignore[no-any-return]

    def _in_time(self, parts: tuple[fx.Node, ...]) -> bool:
        """Tell whether the parts of a stack are the timesteps of something."""
        if all(part is parts[0] for part in parts):
            return True
        if all(part in self._traced.steps for part in parts):
            return len({self._traced.steps[part] for part in parts}) == len(parts) == self._timesteps
        return len({(part.op, part.target) for part in parts}) == 1 and all(_from_select(part) for part in parts)

    def _repeated(self, node: fx.Node) -> Timed | None:
        """Return a value that is repeated along a new axis as one that is the same at every timestep."""
        if name_of(node).startswith("aten.upsample_nearest"):
            return self._replicated(node)
        if name_of(node) not in ("aten.repeat.default", "aten.expand.default"):
            return None
        source = node.args[0]
        while isinstance(source, fx.Node) and passes_on(source):
            source = source.args[0]
        shape, before = shape_of(node, self._traced.batch) or (), shape_of(source, self._traced.batch) or ()  # type: ignore[arg-type]
        if name_of(source) != "aten.unsqueeze.default" or len(shape) != len(before):  # type: ignore[arg-type]
            return None
        axis = int(source.args[1]) % len(before)  # type: ignore[union-attr,arg-type]
        changed = [index for index, pair in enumerate(zip(shape, before, strict=True)) if pair[0] != pair[1]]
        layout: Layout = "time_first" if axis == 0 else "batch_first" if axis == 1 else "time_last"
        if axis not in (0, 1, len(before) - 1) or changed != [axis] or shape[axis == 0] != BATCH_SIZE:
            return None
        value = self.value(source.args[0])  # type: ignore[union-attr,arg-type]
        return Timed(value.ref, "static", shape[axis], layout)

    def _replicated(self, node: fx.Node) -> Timed | None:
        """Return what slayer's ``replicate`` makes: the same at every timestep of a new last axis of extent 1."""
        shape, before = (shape_of(item, self._traced.batch) or () for item in (node, node.args[0]))  # type: ignore[arg-type]
        if len(shape) < 3 or before != (*shape[:-1], 1) or shape[0] != BATCH_SIZE:
            return None
        value = self.value(node.args[0])  # type: ignore[arg-type]
        if not isinstance(value, Plain):
            return None
        ref = self._program.function(merged_reshape, value.ref, shape[1:-1], scope=scope_of(node))
        return Timed(ref, "static", shape[-1], "time_last")

    def _arguments(self, item: Any) -> Any:
        if isinstance(item, fx.Node):
            return self.value(item)
        if isinstance(item, dict):
            return {key: self._arguments(part) for key, part in item.items()}
        if isinstance(item, list | tuple):
            return type(item)(self._arguments(part) for part in item)
        return item

    def _output(self, item: Any) -> Any:
        if isinstance(item, list | tuple):
            return tuple(self._output(part) for part in item)
        if not isinstance(item, fx.Node):
            return item
        value = self.value(item)
        self.layouts.append(value.layout if isinstance(value, Timed) else "step")
        if isinstance(value, Plain):
            return value.ref
        return self._forms.decoded(value, scope_of(item))


def _from_select(node: fx.Node) -> bool:
    """Tell whether a node is computed from one index of a longer tensor alone."""
    while node.op == "call_function":
        if name_of(node) == "aten.select.int":
            return True
        inputs = [item for item in node.all_input_nodes if item.op == "call_function"]
        if len(inputs) != 1:
            return False
        node = inputs[0]
    return False
