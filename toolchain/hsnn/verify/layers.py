"""Compare every layer's integers with its floats on the same input spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hsnn.passes.simulation.float_run import run_float
from hsnn.report.layers import compare_layers
from hsnn.runtime.bridge import to_payloads
from hsnn.target import find_target

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.plan import Plan
    from hsnn.passes.quantization.quantize import Quantized
    from hsnn.report.layers import LayerReport

    Array = NDArray[np.generic]

TARGET = "emulator"


def measure_layers(
    plan: Plan, quantized: Mapping[str, Quantized], samples: Mapping[str, Array]
) -> tuple[LayerReport, ...]:
    """Run each segment in float and in integers, both on the inputs that the float model gives it.

    Args:
        plan: The partitioned model.
        quantized: Each spiking segment's integers.
        samples: Model inputs, batch axis first; all are run as one batch.

    Returns:
        One report a neuron population, in order.
    """
    total = next(iter(samples.values())).shape[0]
    (batch,) = run_float(plan, samples, batch=total)
    reports: list[LayerReport] = []
    for segment in plan.chip_segments:
        integers = quantized[segment.name]
        payloads = payloads_of(integers, batch.driven[segment.name])
        executable = find_target(TARGET).load(integers.network)
        try:
            result = executable.run(payloads, trace=True)
        finally:
            executable.close()
        simulation = batch.simulations[segment.name]
        reports.extend(compare_layers(segment.graph, integers, simulation, result, payloads=payloads))
    return tuple(reports)


def payloads_of(quantized: Quantized, driven: Mapping[str, Array]) -> dict[str, NDArray[np.int32]]:
    """Turn the float inputs of a segment into the payloads of its ports.

    Args:
        quantized: The segment in integers, with the scale of each port.
        driven: For each port: floats, shape ``(timestep, batch, *feature)``.

    Returns:
        For each port: int32 of the same shape, clipped to what the port takes.
    """
    network = quantized.network
    return {
        port.name: to_payloads(
            np.asarray(driven[port.name], np.float32),
            port,
            scale=quantized.input_scales[port.name],
            timesteps=network.timesteps,
        )[0]
        for port in network.inputs
    }
