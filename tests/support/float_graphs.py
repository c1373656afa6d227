"""Parts of spiking graphs with float parameters."""

from __future__ import annotations

import numpy as np

from hsnn.ir.spiking import FloatDense, FloatIntegrator, FloatLif, FloatSparse, SpikeInput, SpikingGraph


def lif(name, shape, *, threshold=1.0, current_decay=1.0, voltage_decay=0.0, bias=0.0, **options):
    arrays = (np.asarray(x, np.float64) for x in (current_decay, voltage_decay, threshold, bias))
    return FloatLif(name, shape, f"{name}.spikes", *arrays, **options)


def integrator(name, shape, *, current_decay=1.0, voltage_decay=0.0, bias=0.0):
    arrays = (np.asarray(x, np.float64) for x in (current_decay, voltage_decay, bias))
    return FloatIntegrator(name, shape, f"{name}.voltage", *arrays)


def sparse(name, pre, post, matrix, *, delay=0):
    rows, columns = np.nonzero(matrix)
    indptr = np.searchsorted(rows, np.arange(len(matrix) + 1)).astype(np.int32)
    return FloatSparse(name, pre, post, matrix[rows, columns], columns.astype(np.int32), indptr, delay)


def single(weights, neuron, *, timesteps=4, binary=True):
    """An input, one dense projection, one population."""
    weights = np.asarray(weights, np.float64)
    port = SpikeInput("x", (weights.shape[1],), "x", binary)
    synapses = FloatDense("w", "x", neuron.name, weights)
    return SpikingGraph("tiny", timesteps, (port,), (neuron,), (synapses,), (neuron.name,))
