"""Random numbers are set back before every test; the table of ONNX translations of torch's exporter is built once."""

import functools

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
