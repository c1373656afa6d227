"""Every test and fixture finds torch's random numbers in one state, whichever tests ran before it.

Torch itself starts with another seed in every process, so weights that a test does not seed would be others every time.
"""

import sys

import pytest


def start_anew():
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup():
    start_anew()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call():
    start_anew()
