"""Every construct of the support matrix has the outcome that the matrix states."""

import matrix
import nir
import pytest
import registry
import slayer_blocks

from hsnn.errors import HsnnError


def rows():
    """All constructs; those that run Lava are marked so."""
    for item in registry.constructs():
        marks = [pytest.mark.lava, pytest.mark.slow] if item.lava else []
        yield pytest.param(item, id=f"{item.library}: {item.name}", marks=marks)


@pytest.mark.parametrize("item", rows())
def test_outcome(item):
    if item.outcome == registry.ABSENT:
        with pytest.raises((AttributeError, TypeError, ValueError)):
            item.check()
        return
    if item.outcome != registry.REFUSED:
        item.check()
        return
    with pytest.raises(HsnnError) as caught:
        item.check()
    assert caught.value.code == item.code


def test_the_page_shows_what_is_tested():
    assert matrix.PAGE.read_text(encoding="utf-8") == matrix.page(), "run python tests/interop/matrix.py"


def test_every_block_of_slayer_that_has_an_exporter_has_a_row():
    named = {item.name for item in registry.constructs() if item.library == slayer_blocks.LIBRARY}
    assert slayer_blocks.COVERED.keys() <= named
    assert {name for names in slayer_blocks.COVERED.values() for name in names.split()} == slayer_blocks.blocks()


def test_every_type_of_node_of_the_nir_package_has_a_row():
    nodes = {
        name
        for name in vars(nir)
        if isinstance(getattr(nir, name), type) and issubclass(getattr(nir, name), nir.NIRNode)
    }
    rows = {item.name.strip("`") for item in registry.constructs() if item.library.startswith("NIR 1.")}
    assert nodes - {"NIRNode"} <= rows
