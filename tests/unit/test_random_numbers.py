"""Tests find the same random numbers whatever ran before them; torch has others in every process."""

import pytest
import torch


@pytest.fixture(scope="module")
def drawn_for_all():
    return torch.rand(4)


@pytest.fixture
def drawn():
    return torch.rand(4)


@pytest.mark.parametrize("draws", [3, 1])
def test_torch_starts_anew(draws, drawn_for_all, drawn):
    found = [torch.rand(4) for _ in range(draws)]
    expected = torch.rand(4, generator=torch.Generator().manual_seed(0))
    for numbers in (drawn_for_all, drawn, found[0]):
        assert torch.equal(numbers, expected)
