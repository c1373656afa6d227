"""A graph quantized on samples, and its float and integer runs."""

from __future__ import annotations

import numpy as np

from hsnn.passes.quantization.quantize import QuantizeOptions, quantize
from hsnn.passes.simulation.calibrate import calibrate
from hsnn.passes.simulation.simulate import simulate
from hsnn.report.layers import compare_layers
from hsnn.verify.layers import payloads_of
from hsnn_targets.reference.machine import ReferenceTarget


def spikes(rng, *shape, rate=0.3):
    return (rng.random(shape) < rate).astype(np.float32)


def quantized(graph, inputs, **options):
    return quantize(graph, calibrate(graph, [inputs]), QuantizeOptions(**options))


def run_both(graph, inputs, result):
    """Float and integer runs of the same batch, and the layer reports by population."""
    payloads = payloads_of(result, inputs)
    simulation = simulate(graph, inputs)
    integers = ReferenceTarget().load(result.network).run(payloads, trace=True)
    reports = compare_layers(graph, result, simulation, integers, payloads=payloads)
    return simulation, integers, {report.population: report for report in reports}
