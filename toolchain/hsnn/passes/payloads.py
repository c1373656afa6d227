"""Turn real values of an input into integer payloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import UsageError
from hsnn.ir.integer import IntegerNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray


def to_payloads(
    network: IntegerNetwork, scales: Mapping[str, float], inputs: Mapping[str, NDArray[np.generic]]
) -> dict[str, NDArray[np.int32]]:
    """Quantize values as :class:`hsnn.program.ChipInput` says: divide, round half to even, clip.

    Args:
        network: Network with the ports.
        scales: Value of one unit of payload, for each port.
        inputs: Finite values of every port, any shape.

    Returns:
        Payloads, int32, same shapes.

    Raises:
        UsageError: ``HSNN-Q002`` if the values of a port are missing.
    """
    payloads = {}
    for port in network.inputs:
        if port.name not in inputs:
            raise UsageError("HSNN-Q002", f"segment {network.name!r} got no values for input {port.name!r}")
        units = np.rint(inputs[port.name].astype(np.float64) / scales[port.name])
        low = -port.max_payload if port.signed else 0
        payloads[port.name] = np.clip(units, low, port.max_payload).astype(np.int32)
    return payloads
