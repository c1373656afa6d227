"""Choose which projections into a population may share one sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsnn.ir.arithmetic import STATE_LIMIT
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import largest_payload
from hsnn.ir.projections import ConvProjection, Projection


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Projections that share a sum.

    Attributes:
        projections: At least one.
        exponent: Left shift of the sum.
        wraps: Whether the shifted sum wraps at 24 bits before it joins the others.
    """

    projections: tuple[Projection, ...]
    exponent: int
    wraps: bool


def group_projections(network: IntegerNetwork, projections: tuple[Projection, ...]) -> tuple[Group, ...]:
    """Group the projections into one population.

    Sums that only wrap at 32 bits may be added before they are shifted, so projections with the same
    exponent share one. A convolution wraps at 24 bits and needs a sum of its own, unless its weights
    and the payloads that may reach it rule a wrap out.
    """
    alone, shared = [], dict[int, list[Projection]]()
    for projection in projections:
        if isinstance(projection, ConvProjection) and _may_wrap(network, projection):
            alone.append(Group((projection,), projection.weight_exp, wraps=True))
        else:
            shared.setdefault(projection.weight_exp, []).append(projection)
    return (*(Group(tuple(same), exponent, wraps=False) for exponent, same in shared.items()), *alone)


def _may_wrap(network: IntegerNetwork, projection: ConvProjection) -> bool:
    peak, _ = largest_payload(network.source(projection.pre))
    sums = np.abs(projection.weights.astype(np.int64)).sum(axis=(1, 2, 3))
    return int(sums.max()) * peak << projection.weight_exp >= STATE_LIMIT
