"""Lava learns as the reference says: every spike, weight, tag, trace and stability; rules mean the same to both."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.artifact.networks import encode_network
from hsnn.ir.learning_text import format_products
from hsnn.verify.random_learning import random_lesson_network, random_rule
from hsnn.verify.random_networks import random_inputs
from hsnn_targets.lava import TARGET
from hsnn_targets.reference import TARGET as REFERENCE

pytestmark = pytest.mark.lava

FRESH, RESUMED, HIDDEN = (1, 4, 8), (2, 5), (0, 3, 10)


@pytest.mark.parametrize("seed", [*FRESH, *RESUMED, *HIDDEN])
def test_every_weight_and_spike(seed):
    network = random_lesson_network(seed)
    inputs = random_inputs(network, 4, seed)
    expected = REFERENCE.load(network).learn(inputs, trace=True)
    executable = TARGET.load(network)
    try:
        found = executable.learn(inputs, trace=True)
    finally:
        executable.close()
    for name, spikes in expected.result.spikes.items():
        np.testing.assert_array_equal(found.result.spikes[name], spikes, err_msg=f"spikes of {name}")
    for name, voltage in expected.result.voltage.items():
        np.testing.assert_array_equal(found.result.voltage[name], voltage[-1:], err_msg=f"voltage of {name}")
    assert encode_network(found.network, "n") == encode_network(expected.network, "n")


def test_runs_without_learning_and_closing():
    network = random_lesson_network(2)
    inputs = random_inputs(network, 3, 2)
    executable = TARGET.load(network)
    try:
        for _ in range(2):
            found = executable.run(inputs, trace=True)
            expected = REFERENCE.load(network).run(inputs, trace=True)
            for name, spikes in expected.spikes.items():
                np.testing.assert_array_equal(found.spikes[name], spikes)
    finally:
        executable.close()
    with pytest.raises(Exception, match="HSNN-R023"):
        executable.run(inputs)


def test_lava_reads_the_text_of_a_rule_as_it_is_meant():
    from hsnn_targets.lava.shim import import_lava

    import_lava()
    from lava.magma.core.learning.product_series import ProductSeries
    from lava.magma.core.learning.symbolic_equation import SymbolicEquation

    rng = np.random.default_rng(11)
    for _ in range(150):
        rule = random_rule(rng)
        for target in ("dw", "dt", "dd"):
            products = getattr(rule, target)
            if not products:
                continue
            series = ProductSeries(SymbolicEquation(target, format_products(products, rule.decimate)))
            assert len(series.products) == len(products)
            for theirs, ours in zip(series.products, products, strict=True):
                assert (theirs.dependency, theirs.s_mantissa, theirs.s_exp - 7) == ours[:3]
                factors = [(f.state_var, f.const or 0, f.is_sgn) for f in theirs.factors]
                assert factors == [tuple(factor) for factor in ours.factors]
                assert theirs.decimate_exponent == (rule.decimate if ours.dependency == "u" else None)
