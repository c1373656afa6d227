"""Learning rules as data: the text form, its limits, and the integer rules at their edges."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hsnn.errors import HsnnError
from hsnn.ir import learning_arithmetic as rules
from hsnn.ir.learning import Factor, LearningRule, Product, Trace, validate_rule
from hsnn.ir.learning_text import format_products, parse_rule
from hsnn.verify.random_learning import random_rule


def reread(rule):
    """Write the sums of a rule and read them again."""
    sums = {name: format_products(getattr(rule, name), rule.decimate) for name in ("dw", "dt", "dd")}
    traces = {name: getattr(rule, name) for name in ("x1", "x2", "y1", "y2", "y3")}
    return parse_rule(**sums, **traces, epoch=rule.epoch, seed=rule.seed)


def test_text_goes_both_ways():
    rng = np.random.default_rng(5)
    for _ in range(300):
        rule = random_rule(rng)
        assert reread(rule) == rule


@pytest.mark.parametrize(
    ("text", "product"),
    [
        ("x0*y1", Product("x0", 1, 0, (Factor("y1"),))),
        (" - 2 * 2^-3 * y0 ", Product("y0", -2, -3)),
        ("12*x0", Product("x0", 6, 1)),
        ("(-1)*u3*(16-x1)", Product("u", 1, 0, (Factor("x1", -16),))),
        ("x0*y0*(w+2)", Product("x0", 1, 0, (Factor("y0"), Factor("w", 2)))),
        ("u0*x0*sgn(t-4)", Product("u", 1, 0, (Factor("x0"), Factor("t", -4, True)))),
        ("x0*(-w+2)*(d)", Product("x0", -1, 0, (Factor("w", -2), Factor("d")))),
    ],
)
def test_what_a_text_means(text, product):
    assert parse_rule(dw=text).dw == (product,)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x0*", "HSNN-I010"),
        ("x0**y1", "HSNN-I010"),
        ("x0 + - y0", "HSNN-I010"),
        ("x0*(y1", "HSNN-I010"),
        ("2x0", "HSNN-I010"),
        ("x0*y4", "HSNN-I010"),
        ("y1*x1", "HSNN-I011"),
        ("w", "HSNN-I011"),
        ("u12*w", "HSNN-I011"),
        ("u0*w + u1*t", "HSNN-I011"),
        ("x0*u2*w", "HSNN-I011"),
        ("0.1*x0", "HSNN-I012"),
        ("15*x0", "HSNN-I012"),
        ("0*x0", "HSNN-I012"),
        ("2^-9*x0", "HSNN-I012"),
        ("2^9*x0", "HSNN-I012"),
        ("x0*(x1-w)", "HSNN-I013"),
        ("x0*(x1+y1)", "HSNN-I013"),
        ("x0*sgn(x1)", "HSNN-I013"),
        ("x0*(y1+128)", "HSNN-I013"),
        ("x0*(w+3)", "HSNN-I013"),
        ("x0*x1*y1*y2*y3*w", "HSNN-I013"),
        ("", "HSNN-I014"),
    ],
)
def test_what_loihi_cannot_express(text, code):
    with pytest.raises(HsnnError) as caught:
        parse_rule(dw=text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 0},
        {"epoch": 64},
        {"epoch": 2.0},
        {"seed": -1},
        {"seed": 2**31},
        {"decimate": 1},
        {"x1": Trace(128, 1)},
        {"x1": Trace(0.3, 1)},
        {"x1": Trace(-1, 1)},
        {"y2": Trace(1, -1)},
        {"y2": Trace(1, float("nan"))},
        {"x2": Trace(float("nan"), 1)},
        {"x2": Trace(1, 65536)},
    ],
)
def test_limits_of_traces_epochs_and_seeds(change):
    rule = dataclasses.replace(parse_rule(dw="x0*y1"), **change)
    with pytest.raises(HsnnError) as caught:
        validate_rule(rule)
    assert caught.value.code == "HSNN-I014"


def test_a_product_of_traces_is_smaller_than_written():
    """Lava: 2^-7*u0*x1*y1 with 64 and 32 should be 16, and is 2 (measured with lava-nc 0.10.0)."""
    products = parse_rule(dw="2^-7*u0*x1*y1").dw
    seen = {"u": np.array(1), "x1": np.array([[64]]), "y1": np.array([[32]])}
    total = rules.accumulate(np.zeros((1, 1), np.int64), products, lambda variable, dependency: seen[variable])
    assert total.item() == 2 << rules.STORED_SHIFT


@pytest.mark.parametrize(("draw", "expected"), [(0.0, 6), (0.49, 6), (0.5, 5), (0.51, 5)])
def test_one_random_number_rounds_every_synapse(draw, expected):
    found = rules.round_stored(np.full((2, 2), 5 * 128 + 64), draw, (-256, 255), floor=-32769, ceiling=32767)
    assert found.tolist() == [[expected] * 2] * 2


def test_draws_do_not_depend_on_how_they_are_cut():
    rule = parse_rule(dw="u0*x1", epoch=3, seed=7)
    whole, first, later = (rules.RandomStreams(rule, behind).draw(count) for behind, count in ((0, 9), (0, 4), (4, 5)))
    for name in ("rounding", "decay", "impulse", "early"):
        joined = np.concatenate([getattr(first, name), getattr(later, name)])
        np.testing.assert_array_equal(getattr(whole, name), joined)


def test_the_defaults_are_a_rule_that_says_what_is_missing():
    with pytest.raises(HsnnError, match="HSNN-I014"):
        validate_rule(LearningRule())
