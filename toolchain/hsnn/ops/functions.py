"""Put the meaning of the operators into a model, as ONNX functions, or in place of them."""

from __future__ import annotations

from functools import cache

import onnx
import onnx.inliner
import onnx.parser

from hsnn.errors import UnsupportedError
from hsnn.ops import DOMAIN, OPS, OPSET_VERSION, OpSpec
from hsnn.ops.noise import ROUND_CONSTANTS, P

OPSET_MIN, OPSET_MAX = 20, 23
"""Versions of the ONNX operator set that the bodies are valid in: none of their operators changed meaning."""
DEFAULT_OPSET = 20
MIX = "Mix"
"""Helper function of ``PoissonEncode``: :func:`hsnn.ops.noise.mix`."""


def function_proto(name: str, *, opset: int = DEFAULT_OPSET) -> onnx.FunctionProto:
    """Return the ONNX function of an operator.

    Args:
        name: Operator, such as ``Lif``, or ``Mix``.
        opset: Version of the ONNX operator set that its body is written in.
    """
    proto = onnx.FunctionProto()
    proto.CopyFrom(_parsed(name, opset))
    return proto


def attach_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the functions of exactly those hsnn operators that it uses.

    Functions of the hsnn domain that it has are replaced. Operator set imports follow.

    Raises:
        UnsupportedError: ``HSNN-F030``, if the model's ONNX operator set is one that the functions are
            not written for; ``HSNN-F031``, if it uses an operator that the hsnn domain does not have.
    """
    opset = onnx_opset(model)
    used = used_operators(model.graph)
    unknown = sorted(used - OPS.keys())
    if unknown:
        raise UnsupportedError(
            "HSNN-F031",
            f"the model uses unknown operators of domain {DOMAIN!r}: {', '.join(unknown)}",
            allowed=", ".join(OPS),
            fix="update hsnn, or write the model with the operators of this version",
        )
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.functions[:]
    result.functions.extend(item for item in model.functions if item.domain != DOMAIN)
    helpers = [MIX] if "PoissonEncode" in used else []
    result.functions.extend(function_proto(name, opset=opset) for name in (*helpers, *sorted(used)))
    _import_domain(result, needed=bool(used))
    return result


def inline_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the same model in plain ONNX: hsnn operators are replaced by what they compute.

    Raises:
        UnsupportedError: See :func:`attach_functions`.
    """
    inlined = onnx.inliner.inline_local_functions(attach_functions(model))
    _import_domain(inlined, needed=False)
    return inlined


def onnx_opset(model: onnx.ModelProto) -> int:
    """Return the version of the ONNX operator set that the model uses.

    Raises:
        UnsupportedError: ``HSNN-F030``, if the operators' functions are not written for it.
    """
    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
    if not OPSET_MIN <= opset <= OPSET_MAX:
        raise UnsupportedError(
            "HSNN-F030",
            f"the model uses version {opset} of the ONNX operator set",
            allowed=f"{OPSET_MIN} to {OPSET_MAX}",
            fix=f"export it with opset_version={DEFAULT_OPSET}",
        )
    return int(opset)


def used_operators(graph: onnx.GraphProto) -> set[str]:
    """Return the names of the hsnn operators that a graph and its subgraphs use."""
    pending = [graph]
    used: set[str] = set()
    while pending:
        for node in pending.pop().node:
            if node.domain == DOMAIN:
                used.add(node.op_type)
            pending.extend(item.g for item in node.attribute if item.type == onnx.AttributeProto.GRAPH)
    return used


@cache
def _parsed(name: str, opset: int) -> onnx.FunctionProto:
    if name == MIX:
        return onnx.parser.parse_function(_mix_text(opset))
    return onnx.parser.parse_function(_function_text(OPS[name], opset))


def _function_text(op: OpSpec, opset: int) -> str:
    attributes = f" <{', '.join(item.name for item in op.attributes)}>" if op.attributes else ""
    imports = f'"" : {opset}, "{DOMAIN}" : {OPSET_VERSION}'
    head = f'<domain: "{DOMAIN}", opset_import: [{imports}]>'
    return f"{head} {op.name}{attributes} ({', '.join(op.inputs)}) => (s) {op.body}"


def _mix_text(opset: int) -> str:
    rounds = "\n".join(
        f"""
        c{i} = Constant <value_int = {constant}> ()
        square{i} = Mul (h{i}, h{i})
        square_mod{i} = Mod (square{i}, p)
        fourth{i} = Mul (square_mod{i}, square_mod{i})
        fourth_mod{i} = Mod (fourth{i}, p)
        fifth{i} = Mul (fourth_mod{i}, h{i})
        fifth_mod{i} = Mod (fifth{i}, p)
        sum{i} = Add (fifth_mod{i}, c{i})
        h{i + 1} = Mod (sum{i}, p)"""
        for i, constant in enumerate(ROUND_CONSTANTS)
    )
    return f"""<domain: "{DOMAIN}", opset_import: ["" : {opset}]> {MIX} (x) => (s) {{
        p = Constant <value_int = {P}> ()
        h0 = Mod (x, p){rounds}
        s = Identity (h{len(ROUND_CONSTANTS)})
    }}"""


def _import_domain(model: onnx.ModelProto, *, needed: bool) -> None:
    others = [item for item in model.opset_import if item.domain != DOMAIN]
    del model.opset_import[:]
    model.opset_import.extend(others)
    if needed:
        model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, OPSET_VERSION))
