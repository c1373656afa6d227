"""Values of the host to payloads of a chip, and back: the one place where the two meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import RunError, UsageError
from hsnn.ir.populations import InputPort

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]
    Float32 = NDArray[np.float32]


def to_payloads(value: NDArray[Any], port: InputPort, *, scale: float, timesteps: int) -> tuple[Int32, int]:
    """Turn a value into payloads: ``clip(round_half_to_even(value / scale))``.

    Args:
        value: Real, shape ``(timestep, batch, *feature)`` or ``(timestep * batch, *feature)``.
        port: Gives feature shape and limits.
        scale: Value of one unit of payload.
        timesteps: Timesteps per sample.

    Returns:
        Payloads, int32, shape ``(timestep, batch, *feature)``, and how many of them were clipped.

    Raises:
        RunError: ``HSNN-R108``, if the shape does not fit or the value has a NaN.
        UsageError: ``HSNN-R111``, if it has a NaN and the port is binary, which is how ``TrainEncode`` marks what is
            neither 0 nor 1; encoders of hsnn give none there.

    >>> port = InputPort("x", (2,), max_payload=7)
    >>> to_payloads(np.array([[0.5, 1.5], [9.0, -1.0]], np.float32), port, scale=0.5, timesteps=2)
    (array([[[1, 3]],
    <BLANKLINE>
           [[7, 0]]], dtype=int32), 2)
    """
    _check_shape(value, port, timesteps)
    units = value if scale == 1.0 else np.divide(value, scale, dtype=np.float64)
    payloads = np.rint(units).reshape(timesteps, -1, *port.shape)
    low, high = (-port.max_payload if port.signed else 0), port.max_payload
    # Extremes first: nearly always nothing is to be clipped, and NaN shows in both.
    smallest, largest = payloads.min(), payloads.max()
    if np.isnan(smallest) and not port.graded:
        raise UsageError(
            "HSNN-R111",
            f"port {port.name!r} carries binary spikes, but was given other values than 0 and 1",
            allowed="0 and 1",
            fix="feed spikes, or declare the train graded: TrainEncode(..., values='graded'); "
            "if no train comes from outside, the host part before gives a NaN",
        )
    if np.isnan(smallest):
        raise RunError(
            "HSNN-R108", f"port {port.name!r} got a NaN", allowed="numbers", fix="check the host part before"
        )
    if smallest >= low and largest <= high:
        return payloads.astype(np.int32), 0
    limited = np.clip(payloads, low, high)
    return limited.astype(np.int32), int(np.count_nonzero(limited != payloads))


def to_spikes(value: NDArray[Any], port: InputPort, *, timesteps: int) -> NDArray[np.uint8] | None:
    """Turn a value of binary spikes into bytes, which takes a fraction of what :func:`to_payloads` does.

    Args:
        value: Real, shape ``(timestep, batch, *feature)`` or ``(timestep * batch, *feature)``, in units of payload.
        port: Gives feature shape and limits.
        timesteps: Timesteps per sample.

    Returns:
        Spikes, uint8, shape ``(timestep, batch, *feature)``; None where the port is graded or anything is neither 0
        nor 1, which :func:`to_payloads` knows what to do with.

    Raises:
        RunError: ``HSNN-R108``, if the shape does not fit.
    """
    _check_shape(value, port, timesteps)
    if port.graded:
        return None
    ones = np.asarray(value == 1)
    if np.count_nonzero(ones) + np.count_nonzero(value == 0) != value.size:
        return None
    spikes: NDArray[np.uint8] = ones.view(np.uint8).reshape(timesteps, -1, *port.shape)
    return spikes


def _check_shape(value: NDArray[Any], port: InputPort, timesteps: int) -> None:
    lead = value.shape[: value.ndim - len(port.shape)] if value.ndim > len(port.shape) else ()
    split = len(lead) == 2 and lead[0] == timesteps
    merged = len(lead) == 1 and lead[0] % timesteps == 0
    if value.dtype.kind == "f" and value.size and (split or merged) and value.shape[len(lead) :] == port.shape:
        return
    wanted = ", ".join(map(str, ("batch", *port.shape)))
    raise RunError(
        "HSNN-R108",
        f"port {port.name!r} got {value.dtype} of shape {value.shape}",
        allowed=f"float of shape ({timesteps}, {wanted}) or ({timesteps} * {wanted})",
        fix="build the artifact again; it does not fit itself",
    )


def from_sent(sent: Int32, scale: float) -> Float32:
    """Turn what a population sent into a value: ``sent * scale``.

    Args:
        sent: Spikes or voltages, any shape.
        scale: Value of one unit.

    Returns:
        float32, same shape; multiplied in double precision and rounded once.
    """
    return sent.astype(np.float32) if scale == 1.0 else (sent * np.float64(scale)).astype(np.float32)
