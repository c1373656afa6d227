"""Nothing of one test is left to the next; the table of ONNX translations of torch's exporter is built once."""

import functools
import sys

import pytest

from support.same_numbers import pytest_fixture_setup, pytest_runtest_call

__all__ = ["pytest_fixture_setup", "pytest_runtest_call"]


@pytest.fixture(scope="session", autouse=True)
def translations_are_built_once():
    from onnxscript._framework_apis import torch_2_5
    from torch.onnx._internal.exporter import _registration

    with pytest.MonkeyPatch.context() as patch:
        cached = functools.cache(torch_2_5.get_torchlib_ops)
        patch.setattr(_registration.onnxscript_apis, "get_torchlib_ops", cached, raising=True)
        yield


@pytest.fixture(autouse=True)
def neurons_of_other_tests_are_forgotten():
    """snnTorch's reset goes through all its neurons of a process, and fails at a DeltaLeaky that was never called."""
    if "snntorch" in sys.modules:
        sys.modules["snntorch"].SpikingNeuron.init()  # empties the list
