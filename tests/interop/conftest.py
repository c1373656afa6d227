"""The table of ONNX translations that torch's exporter asks for is built once, not anew at every export."""

import functools

import pytest


@pytest.fixture(scope="session", autouse=True)
def translations_are_built_once():
    from onnxscript._framework_apis import torch_2_5
    from torch.onnx._internal.exporter import _registration

    with pytest.MonkeyPatch.context() as patch:
        cached = functools.cache(torch_2_5.get_torchlib_ops)
        patch.setattr(_registration.onnxscript_apis, "get_torchlib_ops", cached, raising=True)
        yield
