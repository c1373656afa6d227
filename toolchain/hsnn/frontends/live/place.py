"""Put the layers of a neuron into the rolled model, and start spike trains where the model has none yet."""

from __future__ import annotations

import math

import torch
from torch import Tensor, fx
from torch.nn.functional import linear

from hsnn.errors import HsnnError, UnsupportedError
from hsnn.frontends.live.graph import Traced
from hsnn.frontends.live.operators import name_of
from hsnn.frontends.live.program import Program, Ref
from hsnn.frontends.live.spec import StateReadout, about
from hsnn.frontends.live.values import (
    BATCH_SIZE,
    LEADING,
    Form,
    Forms,
    Layout,
    Plain,
    Timed,
    merged_reshape,
    scope_of,
    shape_of,
)
from hsnn.nn import Delay, TrainEncode


class Placer:
    """Places neurons.

    Args:
        traced: The model.
        program: Where the steps go.
        forms: Turns values into the form that a step wants.
        binary: Inputs that held nothing but 0 and 1 in the samples; a run ends with an error if they ever hold more.
    """

    def __init__(self, traced: Traced, program: Program, *, forms: Forms, binary: frozenset[Ref]) -> None:
        self._traced, self._program, self._forms, self._binary = traced, program, forms, set(binary)
        self._started: dict[tuple[Ref, Layout], Timed] = {}

    def place(self, path: str, drive: Timed) -> tuple[Timed | None, ...]:
        """Return what a neuron gives for each of its outputs; ``None`` for one that cannot be read.

        Raises:
            UnsupportedError: ``HSNN-F091``, if a neuron that depends on the shape of its features does not take theirs.
        """
        neuron, shape = self._traced.neurons[path], self._features(path)
        if neuron.sized is not None:
            try:
                neuron = neuron.sized(shape)
            except HsnnError as error:
                raise about(error, self._traced.title(path)) from error
        drive = self._scaled(path, "in", drive, gain=neuron.gain, shift=neuron.shift)
        flat = neuron.flat and len(shape) != 1
        train = self._forms.train(self._shaped(drive, (math.prod(shape),), path) if flat else drive, path)
        outputs: list[Timed | None] = []
        spikes = train
        for index, layer in enumerate(neuron.outputs):
            if layer is None:
                outputs.append(None)
                continue
            name = path if index == 0 else f"{path}.output_{index}"
            if isinstance(layer, StateReadout):
                ref = self._read_out(name, layer, train, spikes, matrices=neuron.flat)
            else:
                ref = self._program.layer(name, layer, train)
            spikes = ref if index == 0 else spikes
            value = Timed(ref, "train", drive.timesteps, drive.layout)
            value = self._shaped(value, shape, path) if flat else value
            scaled = self._scaled(path, "out", value, gain=neuron.out_gain, shift=neuron.out_shift)
            outputs.append(scaled if index == 0 else value)
        return tuple(outputs)

    def _read_out(self, name: str, state: StateReadout, train: Ref, spikes: Ref, *, matrices: bool) -> Ref:
        """Return a state over time, from the train that drives the neurons and the spikes that they send."""
        for late, factor in state.moves.items():
            sent = self._program.layer(f"{name}.delay_{late}", Delay(late), spikes) if late else spikes
            weight = self._constant(name, f"move_{late}", factor)
            moved = self._program.function(linear if matrices else torch.mul, sent, weight, scope=name)
            train = self._program.function(torch.add, train, moved, scope=name)
        return self._program.layer(name, state.integrator, train)

    def _features(self, path: str) -> tuple[int, ...]:
        shape = shape_of(self._traced.calls[path][0].args[0], self._traced.batch) or ()  # type: ignore[arg-type]
        layout = self._traced.neurons[path].layout
        return shape[1:-1] if layout == "time_last" else shape[LEADING[layout] :]

    def _shaped(self, value: Timed, shape: tuple[int, ...], path: str) -> Timed:
        """Return the same values with other feature axes."""
        form: Form = "static" if value.form == "static" else "merged"
        ref = value.ref if value.form == "static" else self._forms.merged(value, path)
        ref = self._program.function(merged_reshape, ref, shape, scope=path)
        return Timed(ref, form, value.timesteps, value.layout)

    def readable(self, path: str, index: int, value: Timed | None) -> Timed:
        """Return an output that the model uses.

        Raises:
            UnsupportedError: ``HSNN-F093``, if it is a state that hsnn's neurons do not send.
        """
        if value is None:
            raise UnsupportedError(
                "HSNN-F093",
                f"the model uses a state of {self._traced.title(path)} (output {index}), which it cannot send",
                allowed="spikes; voltages of neurons without reset, and of snnTorch's with reset by subtraction",
                fix="leave it out: hsnn-compile --outputs 0 keeps the first output, --outputs spikes an entry of a "
                "dictionary, hsnn.nn.KeepOutputs(model, [0]) does so in Python; or read out neurons without reset "
                "(LI, ExpLeak, reset_mechanism='none')",
            )
        return value

    def rearranged(self, before: Plain, after: Plain) -> None:
        """Note that a value holds the elements of another: it is binary if that is."""
        if before.ref in self._binary:
            self._binary.add(after.ref)

    def start(self, value: Plain, layout: Layout, node: fx.Node, *, merged: int = 0) -> Timed:
        """Start a train from an ordinary value that has a time axis.

        Args:
            value: The value.
            layout: Axes that it has.
            node: Where it is used.
            merged: Timesteps, where they are one axis with the batch.

        Raises:
            UnsupportedError: ``HSNN-F094``, if its axes are others.
        """
        if (value.ref, layout) not in self._started:
            shape = value.shape or ()
            is_merged = layout in ("merged_time_first", "merged_batch_first")
            if is_merged and merged and len(shape) > 1 and shape[0] == merged * BATCH_SIZE:
                self._started[value.ref, layout] = self._split(value, layout, merged, node)
            else:
                self._started[value.ref, layout] = self._whole(value, layout, node)
        return self._started[value.ref, layout]

    def _split(self, value: Plain, layout: Layout, timesteps: int, node: fx.Node) -> Timed:
        scope, feature = scope_of(node), (value.shape or ())[1:]
        sizes = (timesteps, -1) if layout == "merged_time_first" else (-1, timesteps)
        ref = self._program.function(torch.reshape, value.ref, (*sizes, *feature), scope=scope)
        if layout == "merged_time_first":
            ref = self._program.function(torch.transpose, ref, 0, 1, scope=scope)
        return self._encoded(value, ref, timesteps, layout, scope)

    def _whole(self, value: Plain, layout: Layout, node: fx.Node) -> Timed:
        shape, scope = value.shape or (), scope_of(node)
        batch_axis = {"time_first": 1, "batch_first": 0, "time_last": 0}.get(layout)
        if batch_axis is None or len(shape) < 3 or shape[batch_axis] != BATCH_SIZE:
            raise UnsupportedError(
                "HSNN-F094",
                f"at {name_of(node)} in {scope or 'the model'} a value of shape "
                f"{tuple('batch' if extent == BATCH_SIZE else extent for extent in shape)} goes into neurons",
                allowed="(timestep, batch, *feature), (batch, timestep, *feature) or (batch, *feature, timestep), as "
                "the neurons take it",
                fix="--time merged=16, or hsnn.nn.MergedTime(model, timesteps=16), for (batch * timestep, *feature)"
                if layout.startswith("merged")
                else "--time first, or hsnn.nn.TimeFirst(model), for a model that takes (timestep, batch, *feature)",
            )
        ref, timesteps = value.ref, shape[1 - batch_axis]
        if layout == "time_last":
            ref, timesteps = self._program.function(torch.movedim, ref, -1, 1, scope=scope), shape[-1]
        elif layout == "time_first":
            ref = self._program.function(torch.transpose, ref, 0, 1, scope=scope)
        return self._encoded(value, ref, timesteps, layout, scope)

    def _encoded(self, value: Plain, ref: Ref, timesteps: int, layout: Layout, scope: str) -> Timed:
        kind = "binary" if value.ref in self._binary else "graded"
        train = self._program.function(train_encode, ref, timesteps, kind, scope=scope)
        return Timed(train, "train", timesteps, layout)

    def _scaled(self, path: str, where: str, value: Timed, *, gain: Tensor | None, shift: Tensor | None) -> Timed:
        ref = value.ref
        if gain is not None or shift is not None:
            # The constants have the shape of the features, as parameters of neurons do.
            ref = value.ref if value.form == "static" else self._forms.train(value, path)
        form = value.form if value.form == "static" else "train"
        if gain is not None:
            ref = self._program.function(torch.mul, ref, self._constant(path, f"{where}_gain", gain), scope=path)
        if shift is not None:
            ref = self._program.function(torch.add, ref, self._constant(path, f"{where}_shift", shift), scope=path)
        return value if ref is value.ref else Timed(ref, form, value.timesteps, value.layout)

    def _constant(self, path: str, name: str, tensor: Tensor) -> Ref:
        return self._program.weight(f"{path}.{name}" if path else name, tensor)


def train_encode(x: Tensor, timesteps: int, values: str) -> Tensor:
    """A value that is a train already, batch first, as a train."""
    return TrainEncode(timesteps, values=values).forward(x)
