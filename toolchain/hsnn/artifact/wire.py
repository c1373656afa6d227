"""Read the wire format of protocol buffers: what fields a message has, without knowing its type.

Weights are not copied: a field of bytes is a view of the file. ``onnx`` would parse and copy all of a model, which
costs its import and, for a large model, its size again, to ask a few questions of its structure.

Source: https://protobuf.dev/programming-guides/encoding/ ; groups, which were given up long before ONNX, are refused.
"""

from __future__ import annotations

from collections.abc import Mapping

Field = int | memoryview
_VARINT_BYTES = 10
_VARINT, _BYTES = 0, 2
_WIDTHS = {1: 8, 5: 4}


def read_fields(message: memoryview) -> Mapping[int, list[Field]]:
    """Return all values of each field of a message, by field number.

    Args:
        message: One message, as bytes.

    Returns:
        Varints as unsigned integers, what has a length as views of its bytes, in the order in which they stand. Numbers
        of fixed width are passed over: the structure of a model has none.

    Raises:
        ValueError: If the bytes are no message.
    """
    found: dict[int, list[Field]] = {}
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise ValueError(f"field number {number} at byte {at}")
        if kind == _VARINT:
            value, at = _read_varint(message, at)
            found.setdefault(number, []).append(value)
            continue
        if kind == _BYTES:
            length, at = _read_varint(message, at)
        elif kind in _WIDTHS:
            length = _WIDTHS[kind]
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if length > len(message) - at:
            raise ValueError(f"field {number} at byte {at} ends behind its message")
        if kind == _BYTES:
            found.setdefault(number, []).append(message[at : at + length])
        at += length
    return found


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return an integer in base 128, and where it ends."""
    value = 0
    for place, byte in enumerate(message[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError(f"a number at byte {at} does not end")
