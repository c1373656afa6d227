"""How many samples fit into a device's memory at once."""

from __future__ import annotations

import torch

from hsnn.errors import RunError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import received_shape, sends_spikes
from hsnn.ir.projections import Projection, SparseProjection
from hsnn.ir.shape import size
from hsnn_targets.emulator.memory import available_bytes

SHARE = 0.7
"""Share of the free memory that a run plans to take; the rest is for what libraries need."""
TEMPORARIES = 5
"""Int64 arrays as large as a population's synaptic input that are alive at once."""


def block_samples(network: IntegerNetwork, batch: int, device: str) -> int:
    """Choose how many samples to run at a time, at least 1.

    Raises:
        RunError: ``HSNN-R040``, if the device has no room for one.
    """
    room = free_bytes(device)
    if room is None:
        return batch
    fitting = int(SHARE * room) // sample_bytes(network)
    if fitting == 0:
        raise too_small(network, device)
    return min(batch, fitting)


def sample_bytes(network: IntegerNetwork) -> int:
    """Estimate what a sample takes on the device: all that is sent, and the largest population at work."""
    sources = {source.name: size(source.shape) for source in (*network.inputs, *network.populations)}
    integers = {port.name for port in network.inputs}
    integers |= {neuron.name for neuron in network.neurons if not sends_spikes(neuron)}
    kept = sum(count * (4 if name in integers else 1) for name, count in sources.items())
    work = max((8 * TEMPORARIES * size(received_shape(neuron)) for neuron in network.neurons), default=0)
    work += max((8 * sources[projection.pre] for projection in network.projections), default=0)
    return max(network.timesteps * (kept + work), 1)


def synapse_bytes(projection: Projection) -> int:
    """Most that the synapses of a projection take on the device."""
    return 24 * projection.data.size if isinstance(projection, SparseProjection) else 8 * projection.weights.size


def free_bytes(device: str) -> int | None:
    """Memory that a run may still take on the device, or None where nobody tells."""
    if device == "cpu":
        return available_bytes()
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that there is no memory; on the processor torch raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def too_small(network: IntegerNetwork, device: str) -> RunError:
    """Say what one sample takes and that the device does not have it."""
    room, synapses = free_bytes(device), sum(map(synapse_bytes, network.projections))
    return RunError(
        "HSNN-R040",
        f"segment {network.name!r} needs about {sample_bytes(network) >> 20} MiB on {device} for one sample, besides "
        f"up to {synapses >> 20} MiB for its synapses",
        allowed="" if room is None else f"{room >> 20} MiB, which are available",
        fix="run it with --target emulator, whose memory does not grow with timesteps",
    )
