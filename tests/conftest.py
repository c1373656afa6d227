"""What holds for the tests of all folders but tests/interop, which has a configuration of its own."""

from support.same_numbers import pytest_fixture_setup, pytest_runtest_call

__all__ = ["pytest_fixture_setup", "pytest_runtest_call"]
