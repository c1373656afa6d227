"""Check that a batch of payloads fits the ports of an IntegerNetwork."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hsnn.errors import UsageError
from hsnn.ir.integer import IntegerNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]

Payloads: TypeAlias = "NDArray[np.int32] | NDArray[np.uint8] | NDArray[np.int8] | NDArray[np.bool_]"
"""What a port is fed, shape ``(timestep, batch, *feature)``; bytes are read in a quarter of the time."""
Inputs: TypeAlias = "Mapping[str, Payloads]"
"""Payloads of each port."""
KINDS = tuple(np.dtype(kind) for kind in (np.int32, np.uint8, np.int8, np.bool_))


def widen(inputs: Inputs) -> dict[str, Int32]:
    """Payloads as int32; what is so already is not copied."""
    return {name: array.astype(np.int32, copy=False) for name, array in inputs.items()}


def validate_inputs(network: IntegerNetwork, inputs: Inputs) -> int:
    """Check a batch against the ports and return its size.

    Raises:
        UsageError: ``HSNN-R001``, if a port is missing, or a shape, dtype or payload is wrong.
    """
    batch = count_samples(network, inputs)
    for port in network.inputs:
        array = inputs[port.name]
        if array.dtype == np.bool_:
            array = array.view(np.uint8)  # bytes that were called truth values may be anything
        low = -port.max_payload if port.signed else 0
        if array.size and (int(array.min()) < low or int(array.max()) > port.max_payload):
            raise UsageError(
                "HSNN-R001",
                f"input {port.name!r} has payloads {array.min()} to {array.max()}",
                allowed=f"{low} to {port.max_payload}",
            )
    return batch


def count_samples(network: IntegerNetwork, inputs: Inputs) -> int:
    """Check the arrays of a batch, but not their payloads, and return its size.

    Raises:
        UsageError: ``HSNN-R001``, if a port is missing, or a shape or dtype is wrong.
    """
    batches = []
    for port in network.inputs:
        array = inputs.get(port.name)
        if array is None:
            raise UsageError(
                "HSNN-R001",
                f"segment {network.name!r} got no spikes for input {port.name!r}",
                fix="give spikes for every input of the segment, by name",
            )
        shape, axes = array.shape, 2 + len(port.shape)
        if array.dtype not in KINDS or len(shape) != axes:
            raise UsageError(
                "HSNN-R001",
                f"input {port.name!r} is {array.dtype} with {array.ndim} axes",
                allowed=f"int32, uint8, int8 or bool with {axes} axes (timestep, batch, *feature)",
            )
        if shape[0] != network.timesteps or shape[2:] != port.shape:
            raise UsageError(
                "HSNN-R001",
                f"input {port.name!r} has shape {shape}",
                allowed=f"({network.timesteps}, batch, {', '.join(map(str, port.shape))})",
            )
        batches.append(shape[1])
    batch = batches[0] if batches else 1
    if batches.count(batch) != len(batches):
        raise UsageError(
            "HSNN-R001",
            f"inputs of segment {network.name!r} have batch sizes {sorted(set(batches))}",
            allowed="one batch size",
            fix="give every input the same samples",
        )
    if batch == 0:
        raise UsageError(
            "HSNN-R001",
            f"segment {network.name!r} got a batch of 0 samples",
            allowed="1 or more",
            fix="give one sample or more",
        )
    return batch
