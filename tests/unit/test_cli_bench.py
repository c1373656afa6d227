"""hsnn-compile bench, and the count of synaptic operations."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hsnn.cli import main
from hsnn.ir.integer import ConvProjection, InputPort, SparseProjection
from hsnn.runtime.operations import fan_out, synaptic_operations
from hsnn.runtime.result import ChipTrace
from hsnn.verify.random_networks import random_inputs, random_network
from hsnn_targets.reference import TARGET as REFERENCE


@pytest.fixture
def artifact(chain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chain.save(tmp_path / "net.hsnn")
    return "net.hsnn"


def bench(capsys, *arguments):
    assert main(["bench", *arguments, "--samples", "5", "--repeats", "2", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("target", ["emulator", "reference"])
def test_bench_tells_times_spikes_and_operations(artifact, chain, target, capsys):
    result = bench(capsys, artifact, "--target", target)
    assert (result["samples"], result["repeats"], result["input"]) == (5, 2, "random")
    assert result["latency_ms"] > 0
    assert result["samples_per_second"] > 0
    assert [stage["name"] for stage in result["stages"]] == [stage.name for stage in chain.stages]
    assert [segment["name"] for segment in result["segments"]] == [stage.name for stage in chain.chip_stages]
    for stage, segment in zip(chain.chip_stages, result["segments"], strict=True):
        assert set(segment["operations_per_sample"]) == {p.name for p in stage.network.projections}
        assert set(segment["usage"]) == (set(segment["operations_per_sample"]) if target == "emulator" else set())


def test_bench_reads_samples_and_leaves_labels_beside_them_alone(artifact, build, capsys):
    x = np.random.default_rng(0).random((9, build.features)).astype(np.float32)
    np.savez("data.npz", x=x, labels=np.zeros(9, np.int64))
    result = bench(capsys, artifact, "--input", "data.npz")
    assert (result["samples"], result["input"]) == (5, "data.npz")


def test_bench_is_readable(artifact, capsys):
    assert main(["bench", artifact, "--samples", "3", "--repeats", "1"]) == 0
    out = capsys.readouterr().out
    assert "ms a sample" in out
    assert "samples a second" in out


def synapses_of(network, projection):
    """Every pair of neurons that a projection joins, found by sending one spike at a time."""
    pre = network.source(projection.pre).shape
    post = network.source(projection.post).shape
    weights = np.ones_like(projection.weights)
    counts = []
    for neuron in np.ndindex(*pre):
        reached = 0
        for place in np.ndindex(*post[1:]):
            for kernel in np.ndindex(*weights.shape[2:]):
                at = [
                    place[axis] * projection.stride[axis]
                    - projection.padding[axis]
                    + kernel[axis] * projection.dilation[axis]
                    for axis in (0, 1)
                ]
                reached += at == list(neuron[1:])
        counts.append(reached * post[0] // projection.groups)
    return counts


def test_fan_out_of_convolutions_and_single_synapses():
    seen = set()
    for seed in range(25):
        network = random_network(seed)
        for projection in network.projections:
            seen.add(type(projection))
            found = fan_out(network, projection)
            if isinstance(projection, ConvProjection):
                np.testing.assert_array_equal(found, synapses_of(network, projection))
            elif isinstance(projection, SparseProjection):
                assert found.sum() == projection.data.size
            else:
                assert found.sum() == projection.weights.size
    assert len(seen) == 3


def test_operations_follow_spikes_and_delays():
    for seed in range(10):
        network = random_network(seed)
        inputs = random_inputs(network, 2, seed)
        result = REFERENCE.load(network).run(inputs, trace=True)
        found = synaptic_operations(network, ChipTrace(inputs, result))
        assert set(found) == {p.name for p in network.projections}
        for projection in network.projections:
            source = network.source(projection.pre)
            if isinstance(source, InputPort):
                steps = max(network.timesteps - projection.delay, 0)
                fired = (inputs[source.name][:steps] != 0).sum(axis=(0, 1)).reshape(-1)
                assert found[projection.name] == int(fired @ fan_out(network, projection))
