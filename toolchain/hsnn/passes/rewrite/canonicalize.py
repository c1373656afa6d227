"""Canonicalize: one form for equal things, before anything is decided.

1. Constants are folded, so that every weight is an initializer.
2. What leaves its operand as it is, ``Identity`` or a longer way to write it, and unused nodes are removed.
3. Every node has a unique name.
"""

from __future__ import annotations

from hsnn.ir.hybrid import HybridModel, wrap
from hsnn.passes.rewrite.identities import name_identities


def canonicalize(hybrid: HybridModel) -> HybridModel:
    """Return the same model in canonical form; hsnn operators are left as they are."""
    import onnx_ir as ir
    import onnxscript.optimizer as optimizer
    from onnx_ir.passes.common import IdentityEliminationPass, RemoveUnusedNodesPass

    model = hybrid.to_ir()
    functions = dict(model.functions)
    model.functions.clear()  # so that folding cannot look into them
    optimizer.fold_constants(model, onnx_shape_inference=False)
    name_identities(model)
    IdentityEliminationPass()(model)
    RemoveUnusedNodesPass()(model)
    model.functions.update(functions)
    taken: set[str] = set()
    for node in model.graph:
        node.name = _unique(node.name or node.op_type, taken)
    return wrap(ir.to_proto(model))


def _unique(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}.{number}", number + 1
    taken.add(name)
    return name
