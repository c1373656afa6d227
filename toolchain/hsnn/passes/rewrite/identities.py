"""Find nodes that leave their operand as it is, in forms that exporters write.

* ``Pow(x, 1)``
* ``Mul(Sign(x), Abs(x))``, with or without a ``Relu`` around ``Abs``

torch writes both for ``LPPool1d`` and ``LPPool2d`` of norm 1, which is a sum over windows whatever the signs
(``torch.nn.functional.lp_pool2d``, 2.13.0), and sinabs' ``SumPool2d`` is that layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir


def name_identities(model: ir.Model) -> None:
    """Turn such nodes into ``Identity``, in place; what only they used stays behind unused."""
    for node in model.graph:
        operand = _operand(node)
        if operand is not None:
            node.op_type = "Identity"
            node.resize_inputs(1)
            node.replace_input_with(0, operand)


def _operand(node: ir.Node) -> ir.Value | None:
    """Return the operand that a node leaves as it is; None if it changes it."""
    if node.domain != "" or len(node.inputs) != 2:
        return None
    left, right = node.inputs
    if node.op_type == "Pow":
        return left if _is_one(right) else None
    if node.op_type == "Mul":
        return _signed_magnitude(left, right) or _signed_magnitude(right, left)
    return None


def _is_one(value: ir.Value | None) -> bool:
    constant = None if value is None else value.const_value
    return constant is not None and constant.size == 1 and bool(np.all(constant.numpy() == 1))


def _signed_magnitude(sign: ir.Value | None, magnitude: ir.Value | None) -> ir.Value | None:
    inner = _through(magnitude, "Relu") or magnitude
    operand = _through(sign, "Sign")
    return operand if operand is not None and operand is _through(inner, "Abs") else None


def _through(value: ir.Value | None, op_type: str) -> ir.Value | None:
    """Return the operand of the node of that kind that makes a value, if one does."""
    node = None if value is None else value.producer()
    return node.inputs[0] if node is not None and (node.domain, node.op_type) == ("", op_type) else None
