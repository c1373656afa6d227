"""JSON and arrays as bytes: the same content always gives the same bytes, and reading is strict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np

from hsnn.errors import ArtifactError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydantic import BaseModel

    Model = TypeVar("Model", bound=BaseModel)

TENSOR_HEADER_LIMIT = 16 << 20
"""Largest header of a safetensors file, in bytes."""
_REBUILD = "the artifact is damaged or was edited; copy or build it again"


def dump_json(content: object, name: str) -> bytes:
    """Write JSON with sorted keys.

    Args:
        content: Dicts with string keys, lists, tuples, strings, finite numbers, booleans, None.
        name: Name of the file, for errors.

    Raises:
        ArtifactError: ``HSNN-A004``, if the content is something else.
    """
    try:
        text = json.dumps(_plain(content), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
        return (text + "\n").encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(
            "HSNN-A004",
            f"{name} cannot be written: {error}",
            allowed="dicts with string keys, lists, strings, finite numbers, booleans and None",
            fix="report it with the model that it came from",
        ) from error


def _plain(content: object) -> object:
    """Turn any mapping into a dict; json knows no other, and would turn keys into strings."""
    match content:
        case Mapping():
            wrong = [key for key in content if not isinstance(key, str)]
            if wrong:
                raise TypeError(f"the key {wrong[0]!r} is not a string")
            return {key: _plain(value) for key, value in content.items()}
        case list() | tuple():
            return [_plain(value) for value in content]
        case _:
            return content


def parse_json(data: bytes, name: str) -> Any:
    """Read JSON without its loopholes: no duplicate keys, no NaN, no infinity.

    Raises:
        ArtifactError: ``HSNN-A012``, naming the file and the place.
    """
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ArtifactError("HSNN-A012", f"{name} is not valid JSON: {error}", fix=_REBUILD) from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("an object has the same key twice")
    return content


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def parse_model(data: bytes, kind: type[Model], name: str) -> Model:
    """Read JSON into a pydantic model.

    Args:
        data: Content of the file.
        kind: Model; it decides what is allowed.
        name: Name of the file, for errors.

    Raises:
        ArtifactError: ``HSNN-A012``, naming the file and the first field that is wrong.
    """
    from pydantic import ValidationError

    parse_json(data, name)
    try:
        return kind.model_validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "its content"
        raise ArtifactError("HSNN-A012", f"{name}: {where}: {first['msg']}", fix=_REBUILD) from error


def dump_tensors(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Write arrays as safetensors.

    Args:
        tensors: Arrays of any shape, by name; their order makes no difference.

    Returns:
        The file, the same bytes for the same arrays.
    """
    from safetensors.numpy import save

    # Not ascontiguousarray, which gives scalars an axis.
    return bytes(save({name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}))


def parse_tensors(data: bytes, name: str) -> dict[str, NDArray[Any]]:
    """Read a safetensors file into arrays of its own dtypes.

    Raises:
        ArtifactError: ``HSNN-A013``, if it is damaged, or its header is larger than the limit.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    header = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header > min(TENSOR_HEADER_LIMIT, len(data) - 8):
        raise ArtifactError(
            "HSNN-A013",
            f"{name} announces a header of {header} bytes in a file of {len(data)}",
            allowed=f"at most {TENSOR_HEADER_LIMIT} bytes, and no more than the file has",
            fix=_REBUILD,
        )
    try:
        return load(data)
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise ArtifactError("HSNN-A013", f"{name} is not a safetensors file: {error}", fix=_REBUILD) from error


def require_tensors(tensors: Mapping[str, NDArray[Any]], names: set[str], file: str) -> None:
    """Check that a file holds exactly these arrays.

    Raises:
        ArtifactError: ``HSNN-A013``, naming the ones that are missing or not expected.
    """
    missing, extra = sorted(names.difference(tensors)), sorted(set(tensors).difference(names))
    if missing or extra:
        found = [f"lacks {', '.join(missing[:5])}"] * bool(missing) + [f"has also {', '.join(extra[:5])}"] * bool(extra)
        raise ArtifactError("HSNN-A013", f"{file} {' and '.join(found)}", fix=_REBUILD)
