"""Hybrid models with one spiking segment: cut, quantized, run on the reference."""

from __future__ import annotations

import numpy as np

from hsnn.passes.partition.partition import Partition
from hsnn.passes.quantization.quantize import quantize
from hsnn.passes.rewrite.canonicalize import canonicalize
from hsnn.passes.simulation.calibrate import calibration_of
from hsnn.passes.simulation.float_run import run_float
from hsnn.target import find_target


def quantized_on(hybrid, x):
    """Cut a model and quantize its segment on its input ``x``; also give back the plan and the run in float."""
    plan = Partition(())(canonicalize(hybrid))
    (segment,) = plan.chip_segments
    (batch,) = run_float(plan, {"x": x}, keep=lambda graph: ())
    ranges = calibration_of(segment.graph, batch.driven[segment.name], batch.simulations[segment.name])
    return plan, quantize(segment.graph, ranges), batch


def network_on(hybrid, x):
    """The integer network of the segment."""
    return quantized_on(hybrid, x)[1].network


def sent_by(network, x):
    """What the network sends for trains ``(batch, timestep, *feature)``: ``(timestep, batch, neuron)``."""
    (port,) = network.inputs
    train = np.moveaxis(x, 1, 0).reshape(x.shape[1], len(x), *port.shape).astype(np.int32)
    (sent,) = find_target("reference").load(network).run({port.name: train}).outputs.values()
    return sent.reshape(*train.shape[:2], -1)
