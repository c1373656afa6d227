"""Random networks of convolutions and dense layers, of sizes that do not fill a vector or a tile.

Where :mod:`hsnn.verify.random_networks` draws every feature, these draw what kernels may run as products of bytes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hsnn.ir.arithmetic import STATE_LIMIT, VOLTAGE_MAX
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import ConstantSource, InputPort, LifPopulation, Population, Reset
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, conv_output_shape
from hsnn.ir.shape import Shape, size
from hsnn.ir.validate import validate_network

if TYPE_CHECKING:
    from numpy.typing import NDArray


def random_layers(seed: int) -> IntegerNetwork:
    """Draw one to three layers; the same seed draws the same network."""
    rng = np.random.default_rng([seed, 77])
    timesteps = int(rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 17, 31, 65]))
    peak = int(rng.choice([1, 1, 1, 2, 255, 256]))
    shape = tuple(int(n) for n in (rng.integers(1, 6), rng.integers(2, 9), rng.integers(2, 9)))
    ports = (InputPort("in0", shape, peak), InputPort("in1", shape))
    populations: list[Population] = [ConstantSource("one")]
    projections: list[Projection] = []
    sources: dict[str, Shape] = {"in0": shape, "in1": shape}
    for index in range(int(rng.integers(1, 4))):
        name, pre = f"l{index}", str(rng.choice(list(sources)))
        post = None
        if len(sources[pre]) == 3 and rng.random() < 0.75:
            out = int(rng.choice([1, 3, 8, 15, 16, 17, 24, 32, 48]))
            kernel = _pair(rng, 1, 4)
            conv = ConvProjection(
                f"p{index}",
                pre,
                name,
                (rng.integers(-128, 128, (out, sources[pre][0], *kernel)) * 2).astype(np.int16),
                _pair(rng, 1, 3),
                _pair(rng, 0, 3),
                _pair(rng, 1, 3),
                weight_exp=int(rng.choice([0, 0, 1])),
            )
            found = conv_output_shape(conv, sources[pre])
            if min(found) > 0:
                post = found
                projections.append(conv)
        if post is None:
            post = (int(rng.choice([1, 10, 15, 16, 17, 33, 64, 65, 130])),)
            projections.append(_draw_dense(rng, f"p{index}", pre, name, sources[pre], post))
        for other in [s for s in sources if s != pre and rng.random() < 0.3]:
            exponent = int(rng.choice([0, 0, 2]))
            projections.append(
                _draw_dense(rng, f"p{index}{other}", other, name, sources[other], post, weight_exp=exponent)
            )
        if rng.random() < 0.3:
            projections.append(_draw_dense(rng, f"b{index}", "one", name, (1,), post))
        populations.append(_draw_lif(rng, name, post))
        sources[name] = post
    delayed = _draw_delays(seed, projections)
    network = IntegerNetwork(f"layers{seed}", timesteps, ports, tuple(populations), delayed, (populations[-1].name,))
    validate_network(network)
    return network


def _draw_delays(seed: int, projections: list[Projection]) -> tuple[Projection, ...]:
    """Delay some projections of every third network; numbers of its own leave the rest of the network as it is."""
    rng = np.random.default_rng([seed, 78])
    if rng.random() > 1 / 3:
        return tuple(projections)
    return tuple(replace(p, delay=int(rng.choice([0, 1, 2, 5, 16]))) for p in projections)


def _draw_dense(
    rng: np.random.Generator, name: str, pre: str, post: str, pre_shape: Shape, post_shape: Shape, **options: Any
) -> DenseProjection:
    shape = (size(post_shape), size(pre_shape))
    kind = rng.integers(4)
    if kind == 0:
        return DenseProjection(
            name, pre, post, rng.integers(0, 256, shape).astype(np.int16), sign_mode="excitatory", **options
        )
    if kind == 1:
        weights = -rng.integers(0, 129, shape).astype(np.int16)
        return DenseProjection(name, pre, post, weights, sign_mode="inhibitory", **options)
    bound = int(rng.choice([20, 128]))
    return DenseProjection(name, pre, post, (rng.integers(-bound, bound, shape) * 2).astype(np.int16), **options)


def _draw_lif(rng: np.random.Generator, name: str, shape: Shape) -> LifPopulation:
    def parameter(low: int, high: int) -> NDArray[np.int32]:
        chosen = shape if rng.random() < 0.5 else ()
        return rng.integers(low, high, chosen, endpoint=True).astype(np.int32)

    reset = cast("Reset", str(rng.choice(["zero", "zero", "zero", "subtract", "none"])))
    return LifPopulation(
        name,
        shape,
        parameter(-1, 4095),
        parameter(0, 4096),
        parameter(0, int(rng.choice([64, 50_000, 1_000_000, VOLTAGE_MAX]))),
        parameter(-60, 60),
        int(rng.integers(0, 8)),
        reset,
        parameter(0, STATE_LIMIT) if reset == "subtract" else np.zeros((), np.int32),
        int(rng.choice([0, 0, 0, 2])),
    )


def _pair(rng: np.random.Generator, low: int, high: int) -> tuple[int, int]:
    first, second = rng.integers(low, high, 2)
    return int(first), int(second)
