"""What is legal but surprising about how a model codes values as bit planes.

Nothing here changes a build: the model runs as it was trained. But whoever deploys it should know that a
result depends on what else is in the batch, or that decoding does not undo encoding.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import HsnnWarning
from hsnn.ops import DOMAIN
from hsnn.passes.trains.nodes import Train, constant

if TYPE_CHECKING:
    import onnx_ir as ir

    from hsnn.ir.plan import Placement

ORDERS, BATCH = "HSNN-P030", "HSNN-P031"
NAMED = 3
"""Operators that a warning names before it only counts."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What is surprising about an encoder or decoder.

    Attributes:
        code: Stable code.
        reason: One sentence.
        fix: What would change it.
    """

    code: str
    reason: str
    fix: str


def remarks(graph: ir.Graph, trains: Mapping[str, Train]) -> dict[str, Remark]:
    """Find encoders that rescale over the batch, and decoders that weight bits in another order than they come.

    Args:
        graph: The model.
        trains: Its spike trains, by name of the value.

    Returns:
        Remarks by the name of the node.
    """
    found = {_name(node): _batch_remark() for node in graph if _is_encoder(node) and _text(node, "rescale") == "batch"}
    for node in graph:
        if node.domain != DOMAIN or node.op_type != "WeightedSumDecode":
            continue
        read = _order_of(constant(node.inputs[1]))
        sent = {_text(encoder, "order") for encoder in _encoders_before(node, trains)}
        if read is not None and sent and sent != {read}:
            found[_name(node)] = _order_remark(read)
    return found


def warnings_of(placements: Iterable[Placement]) -> tuple[str, ...]:
    """One sentence for each kind of remark among the placements, naming the operators that have it."""
    by_code: dict[str, list[Placement]] = {}
    for placement in placements:
        if placement.code in (ORDERS, BATCH):
            by_code.setdefault(placement.code, []).append(placement)
    return tuple(
        f"{code}: {_names(found)}: {found[0].reason}; {found[0].fix}" for code, found in sorted(by_code.items())
    )


def warn_of(placements: Iterable[Placement]) -> None:
    """Warn of every remark among the placements; the caller's caller is shown as the place."""
    for text in warnings_of(placements):
        warnings.warn(text, HsnnWarning, stacklevel=3)


def _names(placements: Sequence[Placement]) -> str:
    named = ", ".join(placement.module or placement.node for placement in placements[:NAMED])
    return named if len(placements) <= NAMED else f"{named} and {len(placements) - NAMED} more"


def _batch_remark() -> Remark:
    return Remark(
        BATCH,
        "rescales over the whole batch, so the result for one sample depends on the others that it is run with",
        "run it with the batches that it is meant for, or train it with rescale='static' (hsnn.nn.matched)",
    )


def _order_remark(read: str) -> Remark:
    first, sent = ("most", "least") if read == "msb" else ("least", "most")
    return Remark(
        ORDERS,
        f"weights the first plane as the {first} significant, but the encoder sends the {sent} significant first, "
        "so that decoding reverses the bits",
        "this is how HAS-8 was published; weights that agree (hsnn.nn.matched) need a training of their own",
    )


def _order_of(weights: np.ndarray[tuple[int, ...], np.dtype[np.generic]] | None) -> str | None:
    """Order in which decoder weights take bits: each twice, or half, the one before; None if they are no bits."""
    if weights is None or weights.size < 2 or not np.all(weights):
        return None
    ratios = np.asarray(weights[1:], np.float64) / np.asarray(weights[:-1], np.float64)
    if np.all(ratios == 2.0):
        return "lsb"
    return "msb" if np.all(ratios == 0.5) else None


def _encoders_before(node: ir.Node, trains: Mapping[str, Train]) -> Iterator[ir.Node]:
    """Bit-plane encoders from which spikes reach a node, through any operators on spike trains."""
    pending, seen = [node.inputs[0]], set()
    while pending:
        value = pending.pop()
        maker = None if value is None or value.name not in trains else value.producer()
        if maker is None or _name(maker) in seen:
            continue
        seen.add(_name(maker))
        if _is_encoder(maker):
            yield maker
        pending.extend(maker.inputs)


def _is_encoder(node: ir.Node) -> bool:
    return node.domain == DOMAIN and node.op_type == "BitPlaneEncode"


def _text(node: ir.Node, attribute: str) -> str:
    return node.attributes[attribute].as_string()


def _name(node: ir.Node) -> str:
    return node.name or ""
