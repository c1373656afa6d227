"""Bit planes of HAS-8 against an independent evaluation of the published formulas, in exact or double arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.errors import UsageError
from hsnn.nn.plane_gradients import PLANE_GRADIENTS, order_factor

PUBLISHED = ("sig_sine", "tanh_sine", "fourier_sine")
PUBLISHED_FACTORS = (0, 1 / 64, 1 / 16, 3 / 16, 1 / 2, 5 / 4, 3, 7)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def plane(z: float, k: int) -> float:
    """Plane ``k`` by repeated floor division of an exact fraction, as the published loop does."""
    rest = Fraction(z)
    for _ in range(k):
        rest = Fraction(math.floor(rest / 2))
    return float(rest - 2 * math.floor(rest / 2))


def logistic(u: float) -> float:
    return 1 / (1 + math.exp(-u))


def derivative(name: str, z: float, k: int) -> float:
    """The formulas as hybrid-models.md quotes them, in double precision."""
    c = 2.0**k
    if name == "fourier_sine":
        return 0.5 - sum(2 / c * math.cos(n * math.pi * z / c) for n in (1, 3, 5, 7, 9))
    u = -10 * math.sin(math.pi * z / c)
    slope = -10 * math.pi / c * math.cos(math.pi * z / c)
    if name == "sig_sine":
        return logistic(u) * (1 - logistic(u)) * slope
    return 0.5 / math.cosh(u) ** 2 * slope


def values(planes: int) -> torch.Tensor:
    """``x'`` whose ``z`` covers the range: every integer, between them, beside the multiples of ``2**k``, beyond."""
    levels = 2**planes - 1
    z = torch.arange(0, levels + 1, dtype=torch.float64)
    near = torch.cat([z + offset for offset in (0.0, 0.25, 0.5, 0.75, 1e-3, -1e-3)])
    beyond = torch.tensor([-1.0, -0.5, -300.25, levels + 1.0, 2 * levels + 0.5, 5000.0], dtype=torch.float64)
    return torch.cat([near, beyond]) / levels


def encoder(planes: int = 8, *, order: str = "lsb", gradient: str = "fourier_sine", **more) -> snn.BitPlaneEncode:
    chosen = {"floor_lsb": False, "rescale": "none", **more}
    return snn.BitPlaneEncode(planes, order=order, gradient=gradient, **chosen)


def gradient_of(encode: snn.BitPlaneEncode, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """``dL/dx`` for ``L = sum weights * planes``; weights of shape (timestep, value)."""
    leaf = x.clone()[None].requires_grad_()
    (encode(leaf)[:, 0] * weights).sum().backward()
    assert leaf.grad is not None
    return leaf.grad[0]


@pytest.mark.parametrize("gradient", sorted(PLANE_GRADIENTS))
@pytest.mark.parametrize("order", ["lsb", "msb"])
def test_planes_are_the_digits_whatever_the_gradient(gradient: str, order: str) -> None:
    x = values(8)
    planes = encoder(order=order, gradient=gradient)(x[None])[:, 0]
    z = (x * 255).tolist()
    for t in range(8):
        k = t if order == "lsb" else 7 - t
        assert planes[t].tolist() == [plane(value, k) for value in z]


def test_plane_0_is_real_and_the_others_are_bits() -> None:
    planes = encoder()(values(8)[None])
    assert ((planes[0] >= 0) & (planes[0] < 2)).all()
    assert ((planes[0] != 0) & (planes[0] != 1)).any()
    assert set(planes[1:].unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("order", ["lsb", "msb"])
@pytest.mark.parametrize("planes", [2, 5, 8, 9])
def test_gradient_equals_the_formula(name: str, order: str, planes: int) -> None:
    x = values(planes)
    generator = torch.Generator().manual_seed(planes)
    weights = torch.randn((planes, len(x)), generator=generator, dtype=torch.float64)
    levels = 2**planes - 1
    expected = []
    for index, value in enumerate((x * levels).tolist()):
        total = 0.0
        for t in range(planes):
            k = t if order == "lsb" else planes - 1 - t
            total += float(weights[t, index]) * k / 2 ** (planes - 1 - k) * derivative(name, value, k)
        expected.append(levels * total)
    found = gradient_of(encoder(planes, order=order, gradient=name), x, weights)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", PUBLISHED)
def test_float32_gradient_is_close_to_the_formula(name: str) -> None:
    x = values(8).float()
    weights = torch.ones((8, len(x)))
    found = gradient_of(encoder(gradient=name), x, weights).double()
    z = (x * 255).double().tolist()
    expected = [255 * sum(PUBLISHED_FACTORS[k] * derivative(name, value, k) for k in range(8)) for value in z]
    # Beyond 5000 / 255, float32 itself is coarser than the waves of the low planes.
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=2e-3, atol=0.5)


def test_order_factors_are_the_published_ones() -> None:
    assert tuple(order_factor(k, 8) for k in range(8)) == PUBLISHED_FACTORS
    assert [order_factor(k, 3) for k in range(3)] == [0, 0.5, 2]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_single_plane_has_no_gradient(name: str) -> None:
    assert gradient_of(encoder(1, gradient=name), torch.tensor([0.2, 0.7]), torch.ones(1, 2)).tolist() == [0, 0]


def test_straight_through_gives_every_plane_the_gradient_of_the_value() -> None:
    x = torch.tensor([0.1, 0.9])
    weights = torch.tensor([[2.0, 3.0]] * 8)
    assert gradient_of(encoder(gradient="straight_through"), x, weights).tolist() == [16.0, 24.0]


def test_gradient_is_not_known() -> None:
    with pytest.raises(UsageError, match="HSNN-U021"):
        encoder(gradient="cosine")


@pytest.mark.parametrize("scope", ["batch", "per_sample"])
def test_equal_values_beyond_the_range_become_ones(scope: str) -> None:
    encode = encoder(rescale=scope)
    x = torch.full((2, 3), 7.0, requires_grad=True)
    planes = encode(x)
    assert planes.flatten().tolist() == [1.0] * 48
    planes.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() == 0


def test_equal_values_within_the_range_stay() -> None:
    planes = encoder(rescale="batch")(torch.full((2, 3), 128 / 255))
    assert planes[:, 0, 0].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]


def test_batch_rescale_sees_the_whole_batch() -> None:
    x = torch.tensor([[-1.0, 0.0], [1.0, 3.0]])
    _, decode = snn.has8()
    for scope, rescaled in [("batch", [[0.0, 0.25], [0.5, 1.0]]), ("per_sample", [[0.0, 1.0], [0.0, 1.0]])]:
        planes = encoder(rescale=scope)(x)
        expected = encoder(rescale="none")(torch.tensor(rescaled))
        assert torch.equal(planes, expected)
        assert torch.equal(decode(planes), decode(expected))


@pytest.mark.parametrize("name", [*PUBLISHED, "straight_through"])
def test_gradient_through_the_batch_rescale_is_that_of_its_formula(name: str) -> None:
    torch.manual_seed(1)
    x = (torch.randn(4, 5, dtype=torch.float64) * 3).requires_grad_()
    weights = torch.randn(8, 4, 5, dtype=torch.float64)
    (encoder(gradient=name, rescale="batch")(x) * weights).sum().backward()
    inner = ((x - x.min()) / (x.max() - x.min())).detach().requires_grad_()
    (encoder(gradient=name)(inner) * weights).sum().backward()
    again = x.detach().clone().requires_grad_()
    ((again - again.min()) / (again.max() - again.min()) * inner.grad).sum().backward()
    torch.testing.assert_close(x.grad, again.grad)


def test_has8_decodes_as_published_the_bits_reversed() -> None:
    encode, decode = snn.has8()
    assert encode.attributes == {
        "planes": 8, "order": "lsb", "floor_lsb": 0, "rescale": "batch", "low": 0.0, "high": 1.0
    }  # fmt: skip
    assert encode.gradient == "fourier_sine"
    assert decode.weights.tolist() == [128, 64, 32, 16, 8, 4, 2, 1]
    x = torch.arange(256) / 255
    decoded = decode(encode(x[None]))[0]
    # 255 * (k / 255) may miss k by one rounding, so integers are compared where it does not.
    exact = [k for k in range(256) if float(x[k] * 255) == k]
    assert {1, 128, 255} <= set(exact)
    for k in exact:
        assert float(decoded[k]) == pytest.approx(int(f"{k:08b}"[::-1], 2) / 255)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-2.0, 6.0)])
@pytest.mark.parametrize("planes", [1, 4, 8])
def test_matched_decodes_to_the_value_floored(low: float, high: float, planes: int) -> None:
    encode, decode = snn.matched(planes, low=low, high=high)
    x = torch.linspace(low - 1, high + 1, 301)
    spikes = encode(x[None])
    assert set(spikes.unique().tolist()) <= {0.0, 1.0}
    levels = 2**planes - 1
    ratio = ((x - torch.tensor(low)) / torch.tensor(high - low)).clamp(0, 1)
    assert torch.equal(decode(spikes)[0], (ratio * levels).floor() / levels)


def test_matched_does_not_see_the_batch() -> None:
    encode, _ = snn.matched(high=2.0)
    x = torch.rand(3, 5)
    assert torch.equal(encode(x)[:, 1:2], encode(x[1:2]))


@pytest.mark.parametrize("preset", ["has8", "matched"])
@pytest.mark.parametrize("gradient", sorted(PLANE_GRADIENTS))
def test_training_through_the_planes_lowers_a_loss(preset: str, gradient: str) -> None:
    torch.manual_seed(0)
    x = torch.rand(64, 6)
    target = (x[:, :2].sum(1, keepdim=True) > 1).float()
    pair = {"has8": snn.has8, "matched": snn.matched}[preset](gradient=gradient)
    first = nn.Linear(6, 8)
    model = nn.Sequential(first, nn.Sigmoid(), *pair, nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(200):
        loss = (model(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        assert first.weight.grad is not None
        assert first.weight.grad.abs().sum() > 0
    assert sum(losses[-20:]) / 20 < 0.9 * losses[0]


@pytest.mark.parametrize("gradient", [*PUBLISHED, "straight_through"])
def test_gradient_of_matched_planes_alone_lowers_a_loss(gradient: str) -> None:
    torch.manual_seed(0)
    x = torch.rand(64, 6)
    target = (x[:, :2].sum(1, keepdim=True) > 1).float()
    first = nn.Linear(6, 8)
    last = nn.Linear(8, 1).requires_grad_(False)  # so that only what lies before the encoder can learn
    model = nn.Sequential(first, nn.Sigmoid(), *snn.matched(gradient=gradient), last)
    optimizer = torch.optim.Adam(first.parameters(), lr=3e-3)
    losses = []
    for _ in range(150):
        loss = (model(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-20:]) / 20 < 0.9 * losses[0]
