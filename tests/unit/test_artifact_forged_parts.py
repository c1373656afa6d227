"""Artifacts: forged arrays, models and traces under hashes that agree raise a coded error."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from hsnn.artifact import layout
from hsnn.artifact.encode import encode
from hsnn.artifact.networks import decode_network, encode_network
from hsnn.errors import ArtifactError
from support.forged import ARRAYS, HOST, canonical, decode_files, forge
from support.refusals import code_of


def edit_tensors(data, change):
    tensors = {key: array.copy() for key, array in load_tensors(data).items()}
    change(tensors)
    return save_tensors(tensors)


WEIGHTS, DU = "projection/in-hidden/weights", "population/hidden/du"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda t: t.pop(DU), "HSNN-A013"),
        (lambda t: t.update(extra=np.zeros(1, np.int32)), "HSNN-A013"),
        (lambda t: t.update({DU: t[DU].astype(np.int64)}), "HSNN-A013"),
        (lambda t: t.update({DU: t[DU].astype(np.float32)}), "HSNN-A013"),
        (lambda t: t.update({WEIGHTS: t[WEIGHTS].astype(np.int32)}), "HSNN-A013"),
        (lambda t: t.update({WEIGHTS: t[WEIGHTS] | 1}), "HSNN-A014"),
        (lambda t: t.update({WEIGHTS: t[WEIGHTS].T}), "HSNN-A014"),
        (lambda t: t.update({DU: np.full((), 4096, np.int32)}), "HSNN-A014"),
        (lambda t: t.update({DU: np.zeros((7,), np.int32)}), "HSNN-A014"),
    ],
)
def test_forged_arrays(chain, change, code):
    data = edit_tensors(encode(chain)[ARRAYS], change)
    assert code_of(decode_files, forge(chain, **{ARRAYS: data})) == code


def test_strange_safetensors(chain):
    good = encode(chain)[ARRAYS]
    huge = (1 << 60).to_bytes(8, "little") + good[8:]
    bad = [b"", b"\0" * 7, b"\0" * 8, huge, good[:100], (5).to_bytes(8, "little") + b"hello"]
    bad.append(good.replace(b'"I16"', b'"F99"'))
    bad.append(good.replace(b'"I16"', b'"F16"'))
    bad.append(good.replace(b'"data_offsets":[0', b'"data_offsets":[9'))
    for data in bad:
        assert code_of(decode_files, forge(chain, **{ARRAYS: data})) == "HSNN-A013"
    rng = np.random.default_rng(5)
    for _ in range(150):
        data = bytearray(good)
        data[rng.integers(0, len(good))] ^= 1 << int(rng.integers(0, 8))
        try:
            encode(decode_files(forge(chain, **{ARRAYS: bytes(data)})))
        except ArtifactError:
            continue


def test_neurons_have_a_limit(every_kind):
    structure, arrays = encode_network(every_kind, "a.json")
    content = json.loads(structure)
    content["inputs"][0]["shape"] = [2**31 - 1, 2]
    assert code_of(decode_network, canonical(content), arrays, "a.json") == "HSNN-A014"


def models(build):
    """Models that a host stage must not be: how each is broken."""
    good = onnx.load_model_from_string(build.encoder())

    def changed(change):
        model = onnx.ModelProto()
        model.CopyFrom(good)
        change(model)
        return model.SerializeToString()

    def external(tensor):
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../etc/passwd")

    def in_subgraph(model):
        body = helper.make_graph(
            [helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.ones(2, np.float32)))], "b", [],
            [helper.make_tensor_value_info("c", TensorProto.FLOAT, [2])],
        )  # fmt: skip
        external(body.node[0].attribute[0].t)
        model.graph.node.append(helper.make_node("If", ["cond"], ["z"], then_branch=body, else_branch=body))

    def function(model):
        model.functions.append(helper.make_function("mine", "F", ["a"], ["b"], [], [helper.make_opsetid("", 17)]))

    def spiking(model):
        model.graph.node[0].domain = "hsnn"

    def blob(model):
        model.graph.node.append(helper.make_node("EPContext", [], ["z"], domain="com.microsoft", embed_mode=0))

    def unfinished(model):
        del model.graph.output[:]

    def renamed(model):
        model.graph.output[0].name = model.graph.node[1].output[0] = "other"

    return {
        "garbage": b"\xff" * 50,
        "empty": b"",
        "text": b"hello world, this is not protobuf",
        "external": changed(lambda model: external(model.graph.initializer[0])),
        "external in a subgraph": changed(in_subgraph),
        "local function": changed(function),
        "spiking operator": changed(spiking),
        "compiled blob": changed(blob),
        "no output": changed(unfinished),
        "other output": changed(renamed),
        "other model": build.head(["h"]),
    }


def test_forged_models(chain, build):
    for fault, data in models(build).items():
        with pytest.raises(ArtifactError) as caught:
            decode_files(forge(chain, **{HOST: data}))
        assert caught.value.code == "HSNN-A015", fault
        assert HOST in caught.value.found
    for fault in ("garbage", "external", "external in a subgraph", "compiled blob"):
        assert code_of(decode_files, forge(chain, **{"hybrid.onnx": models(build)[fault]})) == "HSNN-A015", fault
    decode_files(forge(chain, **{"hybrid.onnx": models(build)["local function"]}))


def test_forged_golden_traces(chain, golden):
    program = dataclasses.replace(chain, golden=golden)
    data = encode(program)[layout.GOLDEN]
    key = "payload/chip.0/in"
    changes = {
        "HSNN-A013": lambda t: t.pop(key),
        "HSNN-A016": lambda t: t.update({key: t[key][:, :1].copy()}),
    }
    for code, change in changes.items():
        assert code_of(decode_files, forge(program, **{layout.GOLDEN: edit_tensors(data, change)})) == code
    for array in (np.zeros((6, 2, 4), np.float32), np.zeros((6, 2, 4), np.int64), np.zeros((5, 2, 4), np.uint8)):
        bad = edit_tensors(data, lambda t, array=array: t.update({key: array}))
        assert code_of(decode_files, forge(program, **{layout.GOLDEN: bad})) == "HSNN-A016"


def test_a_report_must_be_text(chain):
    assert code_of(decode_files, forge(chain, **{"report.html": b"\xff"})) == "HSNN-A012"


def test_a_listed_file_must_belong_to_the_program(chain):
    assert code_of(decode_files, forge(chain, **{"host/07_host.7.onnx": b"x"})) == "HSNN-A009"
