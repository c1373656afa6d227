"""LIF neurons with vectors: a tile of 64 neurons through all timesteps, its state in registers.

The decay of vectors is exact for ``|x| <= 2**24``. The voltage is always in that range, since it saturates at
2**23; ``dynamics.py`` tells for which populations the current is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn.ir.arithmetic import STATE_LIMIT, VOLTAGE_MAX
from hsnn_targets.emulator.instructions import Instructions, instructions_of
from hsnn_targets.emulator.language.types import Typed
from hsnn_targets.emulator.lowering import FLAG, INT, LONG, Builder, Value, declare, intrinsic
from hsnn_targets.emulator.tables import AMOUNT, BIAS, KEEP_U, KEEP_V, THRESHOLD, TILE, U, V
from hsnn_targets.emulator.vector_ir import Array, Loop, constant, splat, vector


class Rule:
    """The rules of ``neurons.py`` for a vector of neurons, without what the plan has ruled out.

    Attributes:
        late: Whether a voltage is cleared at the timestep after its spike, which comes to the same.
    """

    def __init__(self, builder: Builder, instructions: Instructions, *, wrap: bool, clip: bool, subtract: bool) -> None:
        self._builder, self._wrap, self._clip, self._subtract = builder, wrap, clip, subtract
        self._instructions = instructions
        lanes = instructions.lanes
        ints = vector(INT, lanes)
        # Spikes clear voltages while these decay: nothing waits for the comparison then.
        self.late = instructions.masks and not subtract
        self._least = declare(builder, f"llvm.smin.v{lanes}i32", ints, [ints, ints])
        self._most = declare(builder, f"llvm.smax.v{lanes}i32", ints, [ints, ints])

    def current(self, state: Value, keep: Value, received: Value) -> Value:
        """Advance a current by one timestep."""
        b = self._builder
        moved = b.add(self._instructions.shrink(b, state, keep), received)
        if not self._wrap:
            return moved
        limit, turn = self._constant(STATE_LIMIT), self._constant(2 * STATE_LIMIT)
        down = b.select(b.icmp_signed(">", moved, limit), b.sub(moved, turn), moved)
        return b.select(b.icmp_signed("<=", down, self._constant(-STATE_LIMIT)), b.add(moved, turn), down)

    def voltage(self, state: Value, keep: Value, current: Value, bias: Value, cleared: Value | None) -> Value:
        """Advance a voltage by one timestep; what is ``cleared`` was 0 before."""
        b = self._builder
        moved = b.add(self._instructions.shrink(b, state, keep, cleared), b.add(current, bias))
        if not self._clip:
            return moved
        least, most = self._constant(-VOLTAGE_MAX), self._constant(VOLTAGE_MAX)
        return b.call(self._least, [b.call(self._most, [moved, least]), most])

    def reset(self, voltage: Value, spike: Value, amount: Value) -> Value:
        """What a spike leaves of a voltage."""
        after = self._builder.sub(voltage, amount) if self._subtract else self._constant(0)
        return self._builder.select(spike, after, voltage)

    def _constant(self, value: int) -> Value:
        return constant(self._instructions.lanes, value)


@dataclass(frozen=True, slots=True)
class Rows:
    """An array with a row of neurons for each timestep; the first row of a tile lies at ``at``."""

    array: Array
    at: Value
    stride: Value

    def place(self, builder: Builder, first: Value, timestep: Value) -> Value:
        """Where neuron ``first`` of the tile lies at a timestep."""
        return builder.add(builder.add(self.at, first), builder.mul(timestep, self.stride))


@dataclass(frozen=True, slots=True)
class Window:
    """The timesteps that a tile goes through: how many, their sums, by how many bits these move, and their spikes."""

    timesteps: Value
    received: Rows
    moves: Value
    fired: Rows


@dataclass(frozen=True, slots=True)
class Part:
    """The vectors of a tile whose state fits the registers; fields of the first neuron lie from ``at`` on."""

    builder: Builder
    instructions: Instructions
    tile: Array
    at: Value

    def fetch(self, field: int) -> list[Value]:
        """Load a field, a vector for each group of neurons."""
        ints = vector(INT, self.instructions.lanes)
        return [self.tile.load(self._place(field, group), ints) for group in range(self.instructions.together)]

    def store(self, field: int, group: int, value: Value) -> None:
        """Store a field of one group."""
        self.tile.store(value, self._place(field, group))

    def _place(self, field: int, group: int) -> Value:
        return self.builder.add(self.at, LONG(field * TILE + group * self.instructions.lanes))


def _advance(part: Part, rule: Rule, window: Window, first: Value) -> None:
    """Advance the vectors from neuron ``first`` of a tile on through all timesteps, and keep their last state."""
    builder, instructions = part.builder, part.instructions
    lanes, together = instructions.lanes, instructions.together
    keep_u = [instructions.keep(builder, x) for x in part.fetch(KEEP_U)]
    keep_v = [instructions.keep(builder, x) for x in part.fetch(KEEP_V)]
    bias, threshold, amount = part.fetch(BIAS), part.fetch(THRESHOLD), part.fetch(AMOUNT)
    none = [ir.Constant(vector(FLAG, lanes), [0] * lanes)] * together
    loop = Loop(builder, window.timesteps, [*part.fetch(U), *part.fetch(V), *(none if rule.late else ())])
    row = window.received.place(builder, first, loop.count)
    fired_row = window.fired.place(builder, first, loop.count)
    currents, voltages, flags = [], [], []
    for g in range(together):
        sum_ = window.received.array.load(builder.add(row, LONG(g * lanes)), vector(INT, lanes))
        u = rule.current(loop.values[g], keep_u[g], builder.shl(sum_, window.moves))
        cleared = loop.values[2 * together + g] if rule.late else None
        v = rule.voltage(loop.values[together + g], keep_v[g], u, bias[g], cleared)
        flags.append(builder.icmp_signed(">", v, threshold[g]))
        currents.append(u)
        voltages.append(v if rule.late else rule.reset(v, flags[g], amount[g]))
    instructions.store_spikes(builder, window.fired.array, fired_row, flags)
    loop.close([*currents, *voltages, *(flags if rule.late else ())])
    for g in range(together):
        last = loop.values[together + g]
        part.store(U, g, loop.values[g])
        part.store(V, g, rule.reset(last, loop.values[2 * together + g], amount[g]) if rule.late else last)


def make_update(*, wrap: bool, clip: bool, subtract: bool) -> Callable[..., None]:
    """Make the update of a tile.

    Args:
        wrap: Whether currents may leave 24 bits.
        clip: Whether voltages may leave 24 bits.
        subtract: Whether a spike takes an amount off instead of clearing the voltage.
    """

    @intrinsic
    def update(
        builder: Builder,
        tables: Typed,
        tile: Array,
        tile_at: Value,
        received: Array,
        at: Value,
        stride: Value,
        spikes: Array,
        fired_at: Value,
        fired_stride: Value,
        rows: Value,
        shift: Value,
    ) -> None:
        """Advance the tile at ``tile_at`` by ``rows`` timesteps; a timestep's sums and spikes lie in a row each."""
        instructions = instructions_of(tables)
        rule = Rule(builder, instructions, wrap=wrap, clip=clip, subtract=subtract)
        moves = splat(builder, builder.trunc(shift, INT), instructions.lanes)
        window = Window(rows, Rows(received, at, stride), moves, Rows(spikes, fired_at, fired_stride))
        together = instructions.together * instructions.lanes

        def advance(first: Value) -> None:
            _advance(Part(builder, instructions, tile, builder.add(tile_at, first)), rule, window, first)

        before = instructions.enter(builder)
        if together == TILE:
            advance(LONG(0))
        else:
            parts = Loop(builder, LONG(TILE // together), [])
            advance(builder.mul(parts.count, LONG(together)))
            parts.close([])
        instructions.leave(builder, before)

    return update
