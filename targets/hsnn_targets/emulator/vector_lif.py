"""LIF neurons with 512-bit vectors: a tile of 64 neurons through all timesteps, its state in registers.

The decay is exact in floats. For ``|x| <= 2**24`` and a keep ``c`` of 0 to 4096, ``x`` and ``c / 4096``
are floats without rounding, and their product is rounded toward zero. The integer part of the true
product is itself a float (24 bits suffice), and rounding toward zero never passes it; so cutting the
rounded product to an integer gives the integer part of the true one, which is the rule of ``shrink``.
The voltage is always in that range, since it saturates at 2**23; ``dynamics.py`` tells for which
populations the current is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from hsnn.ir.arithmetic import DECAY_ONE, STATE_LIMIT, VOLTAGE_MAX
from hsnn_targets.emulator.lowering import INT, LONG, Builder, Value, declare, intrinsic
from hsnn_targets.emulator.tables import AMOUNT, BIAS, KEEP_U, KEEP_V, THRESHOLD, TILE, U, V
from hsnn_targets.emulator.vector_ir import BYTES, FLOATS, INTS, LANES, Array, Loop, constant, splat

TOWARD_ZERO = 11
"""Rounding toward zero, exceptions off: the operand of AVX-512 for one instruction."""
GROUPS = TILE // LANES
"""Vectors of one tile: enough of them in flight to hide the latency of the decay."""


class Rule:
    """The rules of ``neurons.py`` for 16 neurons, without what the plan has ruled out."""

    def __init__(self, builder: Builder, *, wrap: bool, clip: bool, subtract: bool) -> None:
        self._builder, self._wrap, self._clip, self._subtract = builder, wrap, clip, subtract
        self._multiply = declare(builder, "llvm.x86.avx512.mul.ps.512", FLOATS, [FLOATS, FLOATS, INT])
        self._least = declare(builder, "llvm.smin.v16i32", INTS, [INTS, INTS])
        self._most = declare(builder, "llvm.smax.v16i32", INTS, [INTS, INTS])

    def keep(self, value: Value) -> Value:
        """What stays of a state, as a float; exact, since it has 13 bits."""
        parts = ir.Constant(FLOATS, [1.0 / DECAY_ONE] * LANES)
        return self._builder.fmul(self._builder.sitofp(value, FLOATS), parts)

    def shrink(self, state: Value, keep: Value) -> Value:
        """Let a state decay."""
        exact = self._builder.sitofp(state, FLOATS)
        return self._builder.fptosi(self._builder.call(self._multiply, [exact, keep, INT(TOWARD_ZERO)]), INTS)

    def current(self, state: Value, keep: Value, received: Value) -> Value:
        """Advance a current by one timestep."""
        b = self._builder
        moved = b.add(self.shrink(state, keep), received)
        if not self._wrap:
            return moved
        limit, turn = constant(STATE_LIMIT), constant(2 * STATE_LIMIT)
        down = b.select(b.icmp_signed(">", moved, limit), b.sub(moved, turn), moved)
        return b.select(b.icmp_signed("<=", down, constant(-STATE_LIMIT)), b.add(moved, turn), down)

    def voltage(self, state: Value, keep: Value, current: Value, bias: Value) -> Value:
        """Advance a voltage by one timestep."""
        b = self._builder
        moved = b.add(b.add(self.shrink(state, keep), current), bias)
        if not self._clip:
            return moved
        return b.call(self._least, [b.call(self._most, [moved, constant(-VOLTAGE_MAX)]), constant(VOLTAGE_MAX)])

    def reset(self, voltage: Value, spike: Value, amount: Value) -> Value:
        """What a spike leaves of a voltage."""
        after = self._builder.sub(voltage, amount) if self._subtract else constant(0)
        return self._builder.select(spike, after, voltage)


def make_update(*, wrap: bool, clip: bool, subtract: bool) -> Callable[..., None]:
    """Make the update of a tile.

    Args:
        wrap: Whether currents may leave 24 bits.
        clip: Whether voltages may leave 24 bits.
        subtract: Whether a spike takes an amount off instead of clearing the voltage.
    """

    @intrinsic
    def update(
        typing: Any,
        tiles: Any,
        tile_at: Any,
        sums: Any,
        at: Any,
        stride: Any,
        fired: Any,
        fired_at: Any,
        fired_stride: Any,
        rows: Any,
        shift: Any,
    ) -> Any:
        """Advance the tile at ``tile_at`` by ``rows`` timesteps; a timestep's sums and spikes lie in a row each."""
        long = types.int64
        signature = types.void(tiles, long, sums, long, long, fired, long, long, long, long)

        def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
            kinds = signature.args
            tile, received, spikes = (Array(context, builder, kinds[k], arguments[k]) for k in (0, 2, 5))
            _, tile_at, _, at, stride, _, fired_at, fired_stride, rows, shift = arguments
            rule = Rule(builder, wrap=wrap, clip=clip, subtract=subtract)

            def place(field: int, group: int) -> Value:
                return builder.add(tile_at, LONG(field * TILE + group * LANES))

            def fetch(field: int) -> list[Value]:
                return [tile.load(place(field, group), INTS) for group in range(GROUPS)]

            keep_u, keep_v = [rule.keep(x) for x in fetch(KEEP_U)], [rule.keep(x) for x in fetch(KEEP_V)]
            bias, threshold = fetch(BIAS), fetch(THRESHOLD)
            amount = fetch(AMOUNT)
            moves = splat(builder, builder.trunc(shift, INT))
            loop = Loop(builder, rows, [*fetch(U), *fetch(V)])
            row = builder.add(at, builder.mul(loop.count, stride))
            fired_row = builder.add(fired_at, builder.mul(loop.count, fired_stride))
            currents, voltages = [], []
            for g in range(GROUPS):
                sum_ = builder.shl(received.load(builder.add(row, LONG(g * LANES)), INTS), moves)
                u = rule.current(loop.values[g], keep_u[g], sum_)
                v = rule.voltage(loop.values[GROUPS + g], keep_v[g], u, bias[g])
                spike = builder.icmp_signed(">", v, threshold[g])
                spikes.store(builder.zext(spike, BYTES), builder.add(fired_row, LONG(g * LANES)))
                currents.append(u)
                voltages.append(rule.reset(v, spike, amount[g]))
            loop.close([*currents, *voltages])
            for g in range(GROUPS):
                tile.store(loop.values[g], place(U, g))
                tile.store(loop.values[GROUPS + g], place(V, g))
            return context.get_dummy_value()

        return signature, generate

    return update
