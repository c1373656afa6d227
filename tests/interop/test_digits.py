"""Hybrids of ordinary layers and each library's neurons keep their accuracy on digits, from the unmodified class."""

import digits_recipe
import pytest
from digits_models import MODELS


@pytest.mark.filterwarnings("ignore:HSNN-Q030")
@pytest.mark.parametrize("name", MODELS)
def test_accuracy_is_kept_in_integers(name):
    measured = digits_recipe.measure(name)
    assert measured.images == 497
    assert measured.library > 0.96
    assert abs(measured.lost) <= 0.5, "integers that decide otherwise are no better for being right by chance"
    assert (digits_recipe.FOLDER / f"{name}.safetensors").stat().st_size < 200_000


def test_the_page_names_every_library():
    text = digits_recipe.matrix.PAGE.read_text(encoding="utf-8")
    shown = text.split(digits_recipe.BEGIN)[1].split(digits_recipe.END)[0]
    assert all(f"| {model.__name__} |" in shown for model, _ in MODELS.values())
