"""Networks that the emulator is measured with, and what goes into them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsnn.ir.integer import IntegerNetwork, count_synapses
from hsnn.ir.populations import InputPort, LifPopulation
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.shape import size
from hsnn.runtime.operations import synaptic_operations
from hsnn.runtime.result import ChipTrace
from hsnn_targets.emulator import EmulatorTarget

Inputs = dict[str, NDArray[np.integer]]
DATA_SAMPLES = 32
"""Real samples of a model; larger batches repeat them."""
THRESHOLDS = Path("build/bench/thresholds.json")
"""Thresholds that were found before: finding them takes longer than many a measurement."""
MADE = ("A", "B", "loop", "tiny")
TRAINED = ("digits", "fashion", "has8")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A network, and inputs of one activity.

    Attributes:
        name: Name of the network.
        activity: Share of inputs and neurons that spike in a timestep, or ``real`` for samples of data.
        network: The network.
        samples: Inputs, a batch of any size.
    """

    name: str
    activity: float | str
    network: IntegerNetwork
    samples: Callable[[int], Inputs]

    def work(self) -> Work:
        """Count what a sample takes, as the mean of some."""
        inputs = self.samples(count := 4)
        result = EmulatorTarget(threads=1).load(self.network).run(inputs, trace=True)
        return Work(
            {name: n / count for name, n in synaptic_operations(self.network, ChipTrace(inputs, result)).items()},
            {p.name: count_synapses(self.network, p) * self.network.timesteps for p in self.network.projections},
            sum(size(neuron.shape) for neuron in self.network.neurons) * self.network.timesteps,
            sum(result.spike_counts.values()) / count,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What one sample takes.

    Attributes:
        operations: Synaptic operations of each projection: synapses that spikes went through.
        products: Multiplications of each projection if it is done as a matrix product: synapses by timesteps.
        updates: Neurons by timesteps.
        spikes: Spikes of all neurons.
    """

    operations: dict[str, float]
    products: dict[str, int]
    updates: int
    spikes: float


def cases(names: tuple[str, ...], activities: tuple[float, ...]) -> list[Callable[[], Case]]:
    """What makes each case; trained networks have one, with the activity of real samples."""
    found: list[Callable[[], Case]] = []
    for name in names:
        if name in TRAINED:
            found.append(lambda name=name: trained_case(name))
        else:
            found += [lambda name=name, rate=rate: made_case(name, rate) for rate in activities]
    return found


def made_case(kind: str, rate: float) -> Case:
    """One of :data:`MADE`, whose neurons spike about as often as its inputs."""
    net = calibrated(kind, rate)
    return Case(kind, rate, net, lambda batch: spikes(net, batch, rate))


def spikes(net: IntegerNetwork, batch: int, rate: float) -> Inputs:
    """Random spikes."""
    shape = (net.timesteps, batch, *net.inputs[0].shape)
    return {"in": (np.random.default_rng(1).random(shape, np.float32) < rate).astype(np.int32)}


def narrow(net: IntegerNetwork, inputs: Inputs) -> Inputs:
    """Binary spikes as bytes, which is how sessions hand them over."""
    graded = {port.name: port.graded for port in net.inputs}
    return {name: array if graded[name] else array.astype(np.uint8) for name, array in inputs.items()}


@cache
def trained_case(name: str) -> Case:
    """The largest spiking segment of a model that hsnn_models ships, with samples of its calibration split."""
    import hsnn
    from hsnn_models import data
    from hsnn_models.digits import digits
    from hsnn_models.fashion import fashion
    from hsnn_models.has8_recipes import load

    model, images = {
        "digits": (lambda: digits(trained=True), lambda: data.digits("calibration")),
        "fashion": (lambda: fashion(trained=True), lambda: data.fashion_subset("calibration")),
        "has8": (lambda: load("has8_vgg_matched", trained=True), lambda: data.fashion_subset("calibration")),
    }[name]
    samples = images().images
    program = hsnn.compile(model(), samples)
    with hsnn.Session(program, batch_size=DATA_SAMPLES) as session:
        traces = session.run(samples[:DATA_SAMPLES], trace=True).traces
    stage = max(program.chip_stages, key=lambda s: sum(count_synapses(s.network, p) for p in s.network.projections))
    payloads = traces[stage.name].payloads

    def batch_of(batch: int) -> Inputs:
        chosen = np.arange(batch) % next(iter(payloads.values())).shape[1]
        return {port: np.ascontiguousarray(array[:, chosen]) for port, array in payloads.items()}

    return Case(name, "real", stage.network, batch_of)


def network(kind: str, thresholds: tuple[int, ...]) -> IntegerNetwork:
    """Build one of :data:`MADE`; ``thresholds`` are those of its populations, in units of 64.

    A: dense 784-256-10, 32 timesteps. B: convolutions of 16 and 32 channels on 28 x 28, dense 128 and
    10, 16 timesteps. loop: dense 256-256-10 with a recurrent projection of delay 3, 32 timesteps. tiny: B on
    6 x 6 pixels with 2 and 3 channels, to see whether the bench works.
    """
    rng = np.random.default_rng(0)
    match kind:
        case "A":
            synapses: tuple[Projection, ...] = (
                dense(rng, "p0", "in", "l0", (256, 784)),
                dense(rng, "p1", "l0", "l1", (10, 256)),
            )
            shapes, port, timesteps = ((256,), (10,)), (784,), 32
        case "loop":
            synapses = (
                dense(rng, "p0", "in", "l0", (256, 256)),
                dense(rng, "loop", "l0", "l0", (256, 256), delay=3),
                dense(rng, "p1", "l0", "l1", (10, 256)),
            )
            shapes, port, timesteps = ((256,), (10,)), (256,), 32
        case _:
            channels, side, hidden, timesteps = ((16, 32), 28, 128, 16) if kind == "B" else ((2, 3), 6, 5, 8)
            half = side // 2
            synapses = (
                ConvProjection("p0", "in", "l0", weights(rng, (channels[0], 1, 3, 3)), padding=(1, 1)),
                ConvProjection(
                    "p1", "l0", "l1", weights(rng, (channels[1], channels[0], 3, 3)), stride=(2, 2), padding=(1, 1)
                ),
                dense(rng, "p2", "l1", "l2", (hidden, channels[1] * half * half)),
                dense(rng, "p3", "l2", "l3", (10, hidden)),
            )
            shapes = ((channels[0], side, side), (channels[1], half, half), (hidden,), (10,))
            port = (1, side, side)
    layers = tuple(
        lif(rng, f"l{place}", shape, threshold)
        for place, (shape, threshold) in enumerate(zip(shapes, thresholds, strict=False))
    )
    return IntegerNetwork(kind, timesteps, (InputPort("in", port),), layers, synapses, (layers[-1].name,))


def weights(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int16]:
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


@cache
def calibrated(kind: str, rate: float) -> IntegerNetwork:
    """Set thresholds, layer by layer, so that every layer fires about as often as the input does."""
    start = network(kind, (1,) * 9)
    print_of = zlib.crc32(b"".join(p.weights.tobytes() for p in start.projections))
    key = f"{kind} {rate} {print_of:08x}"
    known = json.loads(THRESHOLDS.read_text()) if THRESHOLDS.exists() else {}
    if key not in known:
        known[key] = _search(kind, rate, len(start.populations))
        THRESHOLDS.parent.mkdir(parents=True, exist_ok=True)
        THRESHOLDS.write_text(json.dumps(known, indent=2) + "\n")
    return network(kind, tuple(known[key]))


def _search(kind: str, rate: float, layers: int) -> list[int]:
    thresholds = [1] * layers
    for place in range(layers):
        low, high = 0, 131071
        while high - low > 1 + high // 64:
            thresholds[place] = (low + high) // 2
            net = network(kind, tuple(thresholds))
            neurons = net.neurons[place]
            counts = EmulatorTarget(threads=1).load(net).run(spikes(net, 2, rate)).spike_counts
            above = counts[neurons.name] > rate * 2 * net.timesteps * np.prod(neurons.shape)
            low, high = (thresholds[place], high) if above else (low, thresholds[place])
        thresholds[place] = high
    return thresholds


def large(rate: float) -> Case:
    """A million neurons and a hundred million synapses, 16 timesteps.

    A convolution (half of the neurons), then sparse synapses that join anything with anything (the other half),
    and ten read-out neurons.
    """
    rng = np.random.default_rng(0)
    grid, inner = (8, 256, 256), 475_702
    first = ConvProjection("conv", "in", "l0", weights(rng, (8, 8, 3, 3)), padding=(1, 1))
    second = _sparse(rng, "far", "l0", "l1", pre=size(grid), post=inner, fan_in=130)
    last = _sparse(rng, "read", "l1", "l2", pre=inner, post=10, fan_in=40_000)
    layers = (lif(rng, "l0", grid, 812), lif(rng, "l1", (inner,), 1250), lif(rng, "l2", (10,), 131_071))
    net = IntegerNetwork("large", 16, (InputPort("in", grid),), layers, (first, second, last), ("l2",))
    return Case("large", rate, net, lambda batch: spikes(net, batch, rate))


def _sparse(
    rng: np.random.Generator, name: str, pre_name: str, post_name: str, *, pre: int, post: int, fan_in: int
) -> SparseProjection:
    """As many synapses into every neuron, from anywhere; each row's lie one to two mean distances apart."""
    gap = pre // (2 * fan_in)
    places = np.arange(fan_in, dtype=np.int32) * (pre // fan_in)
    indices = np.empty((post, fan_in), np.int32)
    data = np.empty((post, fan_in), np.int16)
    for first in range(0, post, 1 << 16):  # in parts: the temporary arrays would be larger than the synapses
        rows = slice(first, min(first + (1 << 16), post))
        shape = indices[rows].shape
        indices[rows] = places + rng.integers(0, max(gap, 1), shape, np.int32)
        data[rows] = rng.integers(-28, 34, shape, np.int16) * 2
    return SparseProjection(
        name, pre_name, post_name, data.reshape(-1), indices.reshape(-1), np.arange(post + 1, dtype=np.int32) * fan_in
    )
