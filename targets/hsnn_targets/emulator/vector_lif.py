"""LIF neurons with vectors: a tile of 64 neurons through all timesteps, its state in registers.

The decay of vectors is exact for ``|x| <= 2**24``. The voltage is always in that range, since it saturates at
2**23; ``dynamics.py`` tells for which populations the current is.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn.ir.arithmetic import STATE_LIMIT, VOLTAGE_MAX
from hsnn_targets.emulator.instructions import Instructions, instructions_of
from hsnn_targets.emulator.language.types import Typed
from hsnn_targets.emulator.lowering import FLAG, INT, LONG, Builder, Value, declare, intrinsic
from hsnn_targets.emulator.tables import AMOUNT, BIAS, KEEP_U, KEEP_V, THRESHOLD, TILE, U, V
from hsnn_targets.emulator.vector_ir import Array, Loop, constant, splat, vector


class Rule:
    """The rules of ``neurons.py`` for a vector of neurons, without what the plan has ruled out."""

    def __init__(self, builder: Builder, instructions: Instructions, *, wrap: bool, clip: bool, subtract: bool) -> None:
        self._builder, self._wrap, self._clip, self._subtract = builder, wrap, clip, subtract
        self._instructions = instructions
        lanes = instructions.lanes
        ints = vector(INT, lanes)
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
        lanes, together = instructions.lanes, instructions.together
        # Spikes clear voltages while these decay: nothing waits for the comparison then.
        late = instructions.masks and not subtract
        moves = splat(builder, builder.trunc(shift, INT), lanes)
        groups = range(together)

        def part(first: Value) -> None:
            """Advance the vectors whose state fits the registers, from neuron ``first`` of the tile on."""
            part_at = builder.add(tile_at, first)

            def place(field: int, group: int) -> Value:
                return builder.add(part_at, LONG(field * TILE + group * lanes))

            def fetch(field: int) -> list[Value]:
                return [tile.load(place(field, group), vector(INT, lanes)) for group in groups]

            keep_u = [instructions.keep(builder, x) for x in fetch(KEEP_U)]
            keep_v = [instructions.keep(builder, x) for x in fetch(KEEP_V)]
            bias, threshold = fetch(BIAS), fetch(THRESHOLD)
            amount = fetch(AMOUNT)
            none = [ir.Constant(vector(FLAG, lanes), [0] * lanes)] * together
            loop = Loop(builder, rows, [*fetch(U), *fetch(V), *(none if late else ())])
            row = builder.add(builder.add(at, first), builder.mul(loop.count, stride))
            fired_row = builder.add(builder.add(fired_at, first), builder.mul(loop.count, fired_stride))
            currents, voltages, flags = [], [], []
            for g in groups:
                sum_ = received.load(builder.add(row, LONG(g * lanes)), vector(INT, lanes))
                u = rule.current(loop.values[g], keep_u[g], builder.shl(sum_, moves))
                cleared = loop.values[2 * together + g] if late else None
                v = rule.voltage(loop.values[together + g], keep_v[g], u, bias[g], cleared)
                flags.append(builder.icmp_signed(">", v, threshold[g]))
                currents.append(u)
                voltages.append(v if late else rule.reset(v, flags[g], amount[g]))
            instructions.store_spikes(builder, spikes, fired_row, flags)
            loop.close([*currents, *voltages, *(flags if late else ())])
            for g in groups:
                tile.store(loop.values[g], place(U, g))
                last = loop.values[together + g]
                if late:
                    last = rule.reset(last, loop.values[2 * together + g], amount[g])
                tile.store(last, place(V, g))

        before = instructions.enter(builder)
        if together * lanes == TILE:
            part(LONG(0))
        else:
            parts = Loop(builder, LONG(TILE // (together * lanes)), [])
            part(builder.mul(parts.count, LONG(together * lanes)))
            parts.close([])
        instructions.leave(builder, before)

    return update
