"""Errors are matched on their code."""

from __future__ import annotations

import pytest

from hsnn.errors import HsnnError


def code_of(call, *args, **options):
    """Code of the error that a call ends with."""
    with pytest.raises(HsnnError) as caught:
        call(*args, **options)
    return caught.value.code
