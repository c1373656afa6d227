"""Networks that the emulator is measured with: A and B of the papers on simulators, and a loop with delays."""

from __future__ import annotations

import numpy as np

from hsnn.ir.integer import (
    ConvProjection,
    DenseProjection,
    InputPort,
    IntegerNetwork,
    LifPopulation,
)
from hsnn_targets.emulator import EmulatorTarget

ACTIVITIES = (0.01, 0.1, 0.5)


def network(kind: str, thresholds: tuple[int, ...]) -> IntegerNetwork:
    """Build one of ``A``, ``B`` and ``loop``; ``thresholds`` are those of its populations, in units of 64.

    A: dense 784-256-10, 32 timesteps. B: convolutions of 16 and 32 channels on 28 x 28, dense 128 and
    10, 16 timesteps. loop: dense 256-256-10 with a recurrent projection of delay 3, 32 timesteps.
    """
    rng = np.random.default_rng(0)
    match kind:
        case "A":
            synapses = (dense(rng, "p0", "in", "l0", (256, 784)), dense(rng, "p1", "l0", "l1", (10, 256)))
            shapes, port, timesteps = ((256,), (10,)), (784,), 32
        case "B":
            synapses = (
                ConvProjection("p0", "in", "l0", weights(rng, (16, 1, 3, 3)), padding=(1, 1)),
                ConvProjection("p1", "l0", "l1", weights(rng, (32, 16, 3, 3)), stride=(2, 2), padding=(1, 1)),
                dense(rng, "p2", "l1", "l2", (128, 6272)),
                dense(rng, "p3", "l2", "l3", (10, 128)),
            )
            shapes, port, timesteps = ((16, 28, 28), (32, 14, 14), (128,), (10,)), (1, 28, 28), 16
        case _:
            synapses = (
                dense(rng, "p0", "in", "l0", (256, 256)),
                dense(rng, "loop", "l0", "l0", (256, 256), delay=3),
                dense(rng, "p1", "l0", "l1", (10, 256)),
            )
            shapes, port, timesteps = ((256,), (10,)), (256,), 32
    layers = tuple(
        lif(rng, f"l{place}", shape, threshold)
        for place, (shape, threshold) in enumerate(zip(shapes, thresholds, strict=False))
    )
    return IntegerNetwork(kind, timesteps, (InputPort("in", port),), layers, synapses, (layers[-1].name,))


def weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Even weights of 8 bits, a few more up than down."""
    return (np.clip(np.rint(rng.normal(3, 16, shape)), -64, 63) * 2).astype(np.int16)


def dense(
    rng: np.random.Generator, name: str, pre: str, post: str, shape: tuple[int, int], delay: int = 0
) -> DenseProjection:
    """All-to-all synapses."""
    return DenseProjection(name, pre, post, weights(rng, shape), delay=delay)


def lif(rng: np.random.Generator, name: str, shape: tuple[int, ...], threshold: int) -> LifPopulation:
    """Neurons with a quarter of current decay, a tenth of voltage decay, and biases of each channel."""
    biases = rng.integers(-60, 61, shape[0]).astype(np.int32).reshape(-1, *([1] * (len(shape) - 1)))
    decay = (np.array(1024, np.int32), np.array(410, np.int32))
    return LifPopulation(
        name, shape, *decay, np.array(threshold * 64, np.int32), np.broadcast_to(biases, shape).copy(), 3
    )


def spikes(net: IntegerNetwork, batch: int, rate: float) -> dict[str, np.ndarray]:
    """Random spikes."""
    shape = (net.timesteps, batch, *net.inputs[0].shape)
    return {"in": (np.random.default_rng(1).random(shape) < rate).astype(np.int32)}


def calibrated(kind: str, rate: float) -> IntegerNetwork:
    """Set thresholds, layer by layer, so that every layer fires about as often as the input does."""
    thresholds = [1] * len(network(kind, (1,) * 9).populations)
    for place in range(len(thresholds)):
        low, high = 0, 131071
        while high - low > 1 + high // 64:
            thresholds[place] = (low + high) // 2
            net = network(kind, tuple(thresholds))
            neurons = net.neurons[place]
            counts = EmulatorTarget(threads=1).load(net).run(spikes(net, 2, rate)).spike_counts
            above = counts[neurons.name] > rate * 2 * net.timesteps * np.prod(neurons.shape)
            low, high = (thresholds[place], high) if above else (low, thresholds[place])
        thresholds[place] = high
    return network(kind, tuple(thresholds))
