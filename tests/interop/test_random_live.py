"""Random hybrids of each library, every field of every neuron other than its default.

Outputs, spikes and states over time of the library's own float model are those of the hybrid ONNX model; a chain of all
neurons of each library climbs the whole ladder down to Lava. ``HSNN_RANDOM_HYBRIDS`` sets how many are drawn.
"""

import os

import pytest
import random_norse
import random_sinabs
import random_snntorch
import random_spikingjelly
import torch
from random_check import assert_same
from random_hybrids import RandomHybrid

from hsnn.compiler import Options, compile
from hsnn.errors import HsnnError
from hsnn.frontends.live import adapt
from hsnn.report.layers import Limits
from hsnn.verify.ladder import verify

KITS = {
    "snnTorch": random_snntorch,
    "SpikingJelly": random_spikingjelly,
    "Norse": random_norse,
    "sinabs": random_sinabs,
}
REFUSED = [(library, what) for library, kit in KITS.items() for what in kit.refused]
SEEDS = range(int(os.environ.get("HSNN_RANDOM_HYBRIDS", "6")))
CHAINS = [
    ("snnTorch", "step", 2),
    ("SpikingJelly", "time_first", 0),
    ("Norse", "step", 0),
    ("sinabs", "batch_first", 0),
]
LENIENT = Limits(min_f1=0.0, max_rate_error=10.0, max_dead=1.0, max_voltage_error=10.0, max_saturation=0.05)
"""Weights are random, so spikes are chaotic; what is proven here is that every step computes the same."""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("library", KITS)
def test_outputs_spikes_and_states_are_those_of_the_library(library, seed):
    model = RandomHybrid(seed, KITS[library])
    spikes, samples = assert_same(model)
    assert samples > 0
    assert spikes > 0 or not any(drawn.spikes for drawn in model.drawn[:-1])


@pytest.mark.parametrize(("library", "what"), REFUSED)
def test_what_cannot_be_mapped_is_refused(library, what):
    code, neuron = KITS[library].refused[what]
    model = RandomHybrid(len(what), KITS[library])
    model.neurons[-1] = neuron()
    with pytest.raises(HsnnError) as caught:
        adapt(model.eval(), (model.inputs(),))
    assert caught.value.code == code
    assert f"neurons.{len(model.neurons) - 1}" in str(caught.value)
    assert caught.value.fix


@pytest.mark.lava
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:HSNN-Q030")
@pytest.mark.parametrize(("library", "mode", "seed"), CHAINS)
def test_all_neurons_of_a_library_climb_the_ladder_to_lava(library, mode, seed):
    kit = KITS[library]
    model = RandomHybrid(seed, kit, mode=mode, kinds=tuple(dict.fromkeys(kit.kinds[mode]))).eval()
    torch.manual_seed(seed)
    x = torch.cat([model.inputs() for _ in range(3)]).numpy()
    program = compile(model, x, options=Options(limits=LENIENT, golden_samples=1))
    report = verify(program, model=model, target="loihi2-sim")
    assert report.passed, "\n".join(f"{rung.name}: {rung.detail} {rung.difference or ''}" for rung in report.rungs)
    assert {rung.status for rung in report.rungs} == {"passed"}
