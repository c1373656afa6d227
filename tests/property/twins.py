"""Run the vector tiers that this processor lacks, with twins of their instructions: ``twins.py TIER FIRST LAST``.

A twin does in plain LLVM what one instruction does, so everything around it (layouts, shapes of tiles, loops,
remainders) is the code of the tier. Each seed's network is held against the integer reference. It runs in a process
of its own, because machine code with twins must not mix with the real one. Its kernels look at every index, too: one
outside of its array ends the process.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from dataclasses import dataclass
from functools import partial

import numpy as np
from llvmlite import ir

from hsnn.verify.random_layers import random_layers
from hsnn.verify.random_networks import random_inputs, random_network
from hsnn_targets.emulator import blocks, instructions, kernel_compiler, pack, parts
from hsnn_targets.emulator.instructions_amx import POINTER, AmxInstructions
from hsnn_targets.emulator.instructions_avx512 import FLOATS, INTS, LANES, Avx512Instructions
from hsnn_targets.emulator.lowering import BYTE, INT, LONG
from hsnn_targets.emulator.machine import EmulatorExecutable
from hsnn_targets.emulator.sharing import share
from hsnn_targets.emulator.vector_ir import Loop, vector
from hsnn_targets.emulator.vector_tables import Amx, Avx512
from hsnn_targets.reference import TARGET as REFERENCE

TILE_BYTES, TILES = 1024, 8
DOUBLES, LONGS = vector(ir.DoubleType(), LANES), vector(LONG, LANES)


class Twins:
    """Twins of the two instructions of AVX-512 that plain LLVM lacks."""

    def add_dots(self, builder, sums, spikes, weights):
        for byte in range(4):
            lanes = ir.Constant(vector(INT, LANES), [4 * lane + byte for lane in range(LANES)])
            left = builder.zext(builder.shuffle_vector(spikes, spikes, lanes), INTS)
            right = builder.sext(builder.shuffle_vector(weights, weights, lanes), INTS)
            sums = builder.add(sums, builder.mul(left, right))
        return sums

    def multiply_toward_zero(self, builder, left, right):
        """Doubles hold the product exactly; the nearest float is one too far out where it is larger."""
        exact = builder.fmul(builder.fpext(left, DOUBLES), builder.fpext(right, DOUBLES))
        near = builder.fptrunc(exact, FLOATS)
        size = ir.Constant(LONGS, [(1 << 63) - 1] * LANES)

        def magnitude(value):
            return builder.bitcast(builder.and_(builder.bitcast(value, LONGS), size), DOUBLES)

        far = builder.fcmp_ordered(">", magnitude(builder.fpext(near, DOUBLES)), magnitude(exact))
        return builder.bitcast(builder.sub(builder.bitcast(near, INTS), builder.zext(far, INTS)), FLOATS)


@dataclass(frozen=True)
class TwinAvx512(Twins, Avx512Instructions):
    """AVX-512 with twins."""


@dataclass(frozen=True)
class TwinAmx(Twins, AmxInstructions):
    """AMX with twins: tiles and their shapes are memory of the module, for one thread."""

    def shape(self, builder, shapes):
        kept = self._memory(builder, "shapes", 64)
        for byte in range(64):
            builder.store(builder.load(builder.gep(shapes, [LONG(byte)])), builder.gep(kept, [LONG(byte)]))

    def release(self, builder):
        """Forget the shapes: using tiles without any must show."""
        builder.store(BYTE(0), self._memory(builder, "shapes", 64))
        for tile in range(TILES):
            builder.store(BYTE(0), builder.gep(self._memory(builder, "shapes", 64), [LONG(48 + tile)]))

    def zero(self, builder, tile):
        base = self._tile(builder, tile)
        loop = Loop(builder, LONG(TILE_BYTES), [])
        builder.store(BYTE(0), builder.gep(base, [loop.count]))
        loop.close([])

    def load(self, builder, tile, place, stride):
        self._copy(builder, tile, place, stride, inward=True)

    def store(self, builder, tile, place, stride):
        self._copy(builder, tile, place, stride, inward=False)

    def dot(self, builder, sums, spikes, weights):
        (rows, _), (words, _) = self._shape(builder, sums), self._shape(builder, weights)
        totals, left, right = (self._tile(builder, tile) for tile in (sums, spikes, weights))
        over_rows = Loop(builder, rows, [])
        over_words = Loop(builder, words, [])
        row = builder.mul(over_rows.count, LONG(64))
        total = builder.bitcast(builder.gep(totals, [row]), INTS.as_pointer())
        value = builder.load(total, align=1)
        for byte in range(4):
            place = builder.add(row, builder.add(builder.mul(over_words.count, LONG(4)), LONG(byte)))
            spike = builder.zext(builder.load(builder.gep(left, [place])), INT)
            line = builder.bitcast(
                builder.gep(right, [builder.mul(over_words.count, LONG(64))]), vector(BYTE, 64).as_pointer()
            )
            all_ = builder.load(line, align=1)
            lanes = ir.Constant(vector(INT, LANES), [4 * lane + byte for lane in range(LANES)])
            weight = builder.sext(builder.shuffle_vector(all_, all_, lanes), INTS)
            one = builder.insert_element(ir.Constant(INTS, ir.Undefined), spike, INT(0))
            many = builder.shuffle_vector(one, one, ir.Constant(INTS, [0] * LANES))
            value = builder.add(value, builder.mul(many, weight))
        builder.store(value, total, align=1)
        over_words.close([])
        over_rows.close([])

    def _copy(self, builder, tile, place, stride, *, inward):
        rows, width = self._shape(builder, tile)
        base = self._tile(builder, tile)
        over_rows = Loop(builder, rows, [])
        over_bytes = Loop(builder, width, [])
        inside = builder.gep(base, [builder.add(builder.mul(over_rows.count, LONG(64)), over_bytes.count)])
        outside = builder.gep(place, [builder.add(builder.mul(over_rows.count, stride), over_bytes.count)])
        source, target = (outside, inside) if inward else (inside, outside)
        builder.store(builder.load(source), target)
        over_bytes.close([])
        over_rows.close([])

    def _shape(self, builder, tile):
        """Rows of a tile, and bytes of a row."""
        shapes = self._memory(builder, "shapes", 64)
        rows = builder.load(builder.gep(shapes, [LONG(48 + tile)]))
        width = builder.load(builder.gep(shapes, [LONG(16 + 2 * tile)]))
        return builder.zext(rows, LONG), builder.zext(width, LONG)

    def _tile(self, builder, tile):
        return builder.gep(self._memory(builder, "tiles", TILES * TILE_BYTES), [LONG(tile * TILE_BYTES)])

    @staticmethod
    def _memory(builder, name, size):
        """A static array of the module that the code is in."""
        module = builder.module
        if f"twin_{name}" not in module.globals:
            array = ir.GlobalVariable(module, ir.ArrayType(BYTE, size), f"twin_{name}")
            array.linkage, array.initializer = "linkonce_odr", ir.Constant(array.type.pointee, None)
        return builder.bitcast(module.globals[f"twin_{name}"], POINTER)


def check(network, tier, synapses, seed):
    """Hold a network against the reference: whole samples, and samples in parts."""
    inputs = random_inputs(network, 2, seed)
    expected = REFERENCE.load(network).run(inputs, trace=True)
    for threads in (3, 1):
        executable = EmulatorExecutable(network, threads, tier, synapses)
        found = executable.run(inputs, trace=True)
        for kind in ("outputs", "spikes", "current", "voltage"):
            for name, array in getattr(expected, kind).items():
                message = f"{tier} {seed} {threads} threads {kind} {name}"
                np.testing.assert_array_equal(getattr(found, kind)[name], array, err_msg=message)
    return sum(usage.products for usage in executable.usage().values())


def share_alone(kernels, rounds, words):
    """Run parts on one thread, the last first: tiles of the twins are for one thread."""
    share(kernels[:1], [deque(reversed(tasks)) for tasks in rounds], words)


def main():
    if not os.environ.get("HSNN_CACHE"):
        raise SystemExit("set HSNN_CACHE to a folder for twins: the emulator would run them as the real kernels")
    tier, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    instructions._OF.update({Avx512: TwinAvx512(), Amx: TwinAmx()})
    kernel_compiler.compile_kernel = partial(kernel_compiler.compile_kernel, checked=True)
    pack.STRIPED_BYTES = 1 << 9
    parts.STAGE_SECONDS, parts.PIECES, parts.share, blocks.BLOCK_SECONDS = 0.0, 1000, share_alone, 1e-9
    products = 0
    for seed in range(first, last):
        products += check(random_layers(seed), tier, "products", seed)
        products += check(random_network(seed), tier, "auto", seed)
    sys.stdout.write(f"{2 * (last - first)} networks, {products} products\n")


if __name__ == "__main__":
    main()
