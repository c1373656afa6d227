"""NIR written for a reader, by its policy, and what NIR or that reader cannot say, which is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.errors import UnsupportedError, UsageError

nir = pytest.importorskip("nir")

from hsnn.frontends.nir.build import from_nir  # noqa: E402 - needs nir
from hsnn.frontends.nir.policy import PRESETS, NirPolicy  # noqa: E402
from hsnn.frontends.nir.write import to_nir  # noqa: E402
from hsnn.passes.simulation.simulate import simulate  # noqa: E402
from support.nir_models import Net, T, driven, neurons, segment  # noqa: E402

PLAIN = {"reset": "zero", "refractory": 0, "comparison": ">", "decay_input": 0}
POLICIES = [
    NirPolicy(
        dt, integrator, reset, comparison, synapse=synapse, gain=gain, integrate=integrate, tau=tau, initial="zero"
    )
    for dt, integrator, reset, comparison, synapse, gain, integrate, tau in (
        (1e-3, "exact", "value", ">", "jump", "one", "one", "times_dt"),
        (0.5, "euler", "subtract", ">=", "ode", "decay", "one", "times_dt"),
        (2.0, "exact", "zero_next", ">", "jump", "decay", "dt", "seconds"),
        (1e-4, "euler", "subtract_next", ">=", "ode", "one", "dt", "seconds"),
    )
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.reset)
@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_a_file_for_a_reader_says_the_same_to_that_reader(kind, policy, tmp_path):
    reset, refractory = {
        "value": ("zero", 0),
        "subtract": ("subtract", 0),
        "zero_next": ("zero", 1),
        "subtract_next": ("subtract_late", 0),
    }[policy.reset]
    hybrid = neurons(kind, reset=reset, refractory=refractory, comparison=policy.comparison)
    path = tmp_path / "network.nir"
    path.write_bytes(to_nir(hybrid, policy=policy).to_bytes())
    graphs = segment(hybrid), segment(from_nir(path, timesteps=T, policy=policy))
    a, b = (next(iter(simulate(graph, driven(graph, 1)).spikes.values())) for graph in graphs)
    np.testing.assert_array_equal(a, b)
    assert 0 < a.mean() < 1


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_writes_what_it_says_or_names_the_neuron(name):
    hybrid = neurons("LIF", **PLAIN)
    preset = PRESETS[name]
    if (preset.reset, preset.comparison) == ("value", ">") and preset.initial != "leak":
        assert to_nir(hybrid, policy=name).policy.text() == preset.text()
        return
    with pytest.raises(UnsupportedError, match="HSNN-F087: 'lif"):
        to_nir(hybrid, policy=name)


@pytest.mark.parametrize(
    ("kind", "changes", "named"),
    [
        ("LIF", {"refractory": 3}, "refractory"),
        ("LIF", {"reset": "none"}, "resets by 'none'"),
        ("Threshold", {"reset": "zero", "refractory": 2}, "refractory"),
    ],
)
def test_what_nir_cannot_say_is_refused_by_name(kind, changes, named):
    with pytest.raises(UnsupportedError, match=f"HSNN-F087.*{kind.lower()}.*{named}"):
        to_nir(neurons(kind, **{**PLAIN, **changes}))


def test_operators_that_nir_lacks_are_refused_all_at_once():
    net = Net(0)
    x = net.input(2, 4, 4)
    turned = net.op("Transpose", [x], perm=[0, 1, 3, 2, 4])
    padded = net.merged("Conv", turned, [net.normal(3, 4, 2, 2)], kernel_shape=(2, 2), pads=[0, 1, 0, 0])
    net.output(net.neuron(padded, (3, 1, 4), "LIF", **{**PLAIN, "refractory": 7}), 3, 1, 4)
    with pytest.raises(UnsupportedError) as caught:
        to_nir(net.model())
    for found in ("'transpose' (Transpose)", "'conv' pads", "refractory time of 7"):
        assert found in str(caught.value)


def test_the_policy_and_the_timesteps_of_a_file_that_hsnn_wrote_may_be_overruled(tmp_path):
    path = tmp_path / "network.nir"
    path.write_bytes(to_nir(neurons("LIF", **{**PLAIN, "reset": "subtract"})).to_bytes())
    assert segment(from_nir(path)).neurons[0].reset == "subtract"
    other = segment(from_nir(path, timesteps=4, policy="equations,dt=1e-4"))
    assert (other.timesteps, other.neurons[0].reset) == (4, "zero")
    graph = nir.read(path)
    graph.metadata["hsnn_timesteps"] = "9" * 5000
    with pytest.raises(UsageError, match="HSNN-F085"):
        from_nir(graph)
