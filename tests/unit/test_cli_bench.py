"""hsnn-compile bench, and the count of synaptic operations."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import hsnn
from hsnn import nn as snn
from hsnn.cli import main
from hsnn.compiler import Options
from hsnn.ir.populations import InputPort
from hsnn.ir.projections import ConvProjection, SparseProjection
from hsnn.report.layers import Limits
from hsnn.runtime.alone import neurons_alone, projection_alone, sent_to
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


def test_bench_takes_the_samples_that_the_artifact_keeps(tmp_path, monkeypatch, capsys):
    """Random numbers would be no input of a model whose inputs are spikes."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    layers = (snn.TrainEncode(6), nn.Linear(5, 4), snn.Lif(0.3), snn.TrainDecode())
    spikes = (torch.rand(9, 6, 5) < 0.4).float().numpy()
    hsnn.compile(
        nn.Sequential(*layers), spikes, options=Options(limits=Limits(min_f1=0.0, max_rate_error=10.0, max_dead=1.0))
    ).save("spikes.hsnn")
    result = bench(capsys, "spikes.hsnn", "--target", "emulator")
    assert (result["samples"], result["input"]) == (5, "calibration")


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
    assert "Alone, ms a sample" in out


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


def test_bench_times_every_projection_and_population_alone(artifact, chain, capsys):
    (segment,) = bench(capsys, artifact)["segments"]
    (stage,) = chain.chip_stages
    names = {p.name for p in stage.network.projections} | {neuron.name for neuron in stage.network.neurons}
    assert set(segment["alone_ms"]) == names
    assert min(segment["alone_ms"].values()) > 0
    assert set(segment["spikes_of_neurons"]) == {neuron.name for neuron in stage.network.neurons}
    assert sum(segment["spikes_of_neurons"].values()) == pytest.approx(segment["spikes_per_sample"])


def test_parts_alone_do_what_they_do_in_the_network():
    """A population that one projection feeds sends the same alone, fed with the trace; so it is the same work."""
    checked = 0
    for seed in range(30):
        network = random_network(seed)
        inputs = random_inputs(network, 2, seed)
        trace = ChipTrace(inputs, REFERENCE.load(network).run(inputs, trace=True))
        for projection in network.projections:
            part = projection_alone(network, projection)
            result = REFERENCE.load(part).run(sent_to(part, projection.pre, trace), trace=True)
            if len(network.into(projection.post)) == 1:
                np.testing.assert_array_equal(result.current["neurons"], trace.result.current[projection.post])
                np.testing.assert_array_equal(result.voltage["neurons"], trace.result.voltage[projection.post])
                checked += 1
        for neuron in network.neurons:
            part = neurons_alone(network, neuron)
            result = REFERENCE.load(part).run(sent_to(part, None, trace), trace=True)
            assert result.voltage[neuron.name].shape == trace.result.voltage[neuron.name].shape
    assert checked > 20


@pytest.mark.parametrize("way", ["products", "events"])
def test_bench_runs_synapses_as_it_is_told(artifact, way, capsys):
    from hsnn_targets.emulator.tiers import usable_tiers

    if usable_tiers() == ("portable",):
        pytest.skip("this processor has no kernels for products")
    result = bench(capsys, artifact, "--synapses", way, "--threads", "1", "--tier", usable_tiers()[-1])
    assert result["synapses"] == way
    ways = [used for segment in result["segments"] for used in segment["usage"].values()]
    assert (sum(used["products"] for used in ways) > 0) == (way == "products")
    if way == "products":
        assert sum(used["events"] for used in ways) == 0


def test_bench_says_where_events_are_the_only_way(artifact, capsys):
    assert main(["bench", artifact, "--samples", "3", "--repeats", "1", "--tier", "portable"]) == 0
    assert capsys.readouterr().out.count("always") == 4


def test_bench_takes_the_tier(artifact, capsys):
    result = bench(capsys, artifact, "--tier", "portable")
    assert {segment["tier"] for segment in result["segments"]} == {"portable"}


def test_bench_takes_the_device(artifact, capsys):
    expected = bench(capsys, artifact, "--target", "reference")
    result = bench(capsys, artifact, "--target", "gpu", "--device", "cpu")
    assert (expected["device"], result["device"]) == (None, "cpu")
    for ours, theirs in zip(result["segments"], expected["segments"], strict=True):
        assert ours["spikes_of_neurons"] == theirs["spikes_of_neurons"]
    assert main(["bench", artifact, "--target", "gpu", "--device", "tpu", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "HSNN-U050"
    assert main(["bench", artifact, "--device", "cpu", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "HSNN-U051"


def test_options_of_the_emulator_are_refused_on_other_targets(artifact, capsys):
    assert main(["bench", artifact, "--target", "reference", "--synapses", "events"]) == 2
    assert "HSNN-U053" in capsys.readouterr().err


def test_the_ways_of_synapses_are_those_of_the_emulator():
    from hsnn.commands.options import SYNAPSES
    from hsnn_targets.emulator import vector_plan

    assert SYNAPSES == vector_plan.SYNAPSES
