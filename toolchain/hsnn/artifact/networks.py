"""An IntegerNetwork as two files: its structure in JSON, its arrays in safetensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hsnn.artifact import schema_network
from hsnn.artifact.codec import dump_json, dump_tensors, parse_model, parse_tensors, require_tensors
from hsnn.artifact.learning_rules import decode_rule, encode_rule
from hsnn.errors import ArtifactError, HsnnError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plastic import LearnerPopulation, PlasticProjection
from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    ConstantSource,
    CountingLifPopulation,
    InputPort,
    IntegratorPopulation,
    LifPopulation,
    Population,
    ResonatorPopulation,
    SigmaDeltaPopulation,
)
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.validate import validate_network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors: TypeAlias = Mapping[str, NDArray[Any]]

POPULATIONS: Mapping[str, type[Population]] = {
    "constant": ConstantSource,
    "lif": LifPopulation,
    "adaptive_lif": AdaptiveLifPopulation,
    "counting_lif": CountingLifPopulation,
    "integrator": IntegratorPopulation,
    "sigma_delta": SigmaDeltaPopulation,
    "resonator": ResonatorPopulation,
    "learner": LearnerPopulation,
}
PROJECTIONS: Mapping[str, type[Projection]] = {
    "dense": DenseProjection,
    "conv": ConvProjection,
    "sparse": SparseProjection,
    "plastic": PlasticProjection,
}
ARRAYS: Mapping[str, tuple[str, ...]] = {
    "constant": (),
    "lif": ("du", "dv", "threshold", "bias_mant", "reset_amount"),
    "adaptive_lif": (
        *("du", "dv", "threshold", "bias_mant", "reset_amount"),
        *("threshold_decay", "refractory_decay", "threshold_step"),
    ),
    "counting_lif": ("du", "dv", "threshold", "bias_mant", "reset_amount", "v_min"),
    "integrator": ("du", "dv", "bias_mant"),
    "sigma_delta": ("threshold", "bias"),
    "resonator": ("cos_decay", "sin_decay", "threshold"),
    "dense": ("weights",),
    "conv": ("weights",),
    "sparse": ("data", "indices", "indptr"),
    "plastic": ("weights", "tag", "tag_delay", "pre_traces", "post_traces"),
    "learner": ("du", "dv", "threshold", "bias_mant", "reset_amount", "stability", "recruited"),
}
"""Fields of each kind that are arrays; all others are in the JSON."""
_WEIGHTS = ("weights", "data")
NEURON_LIMIT = 2**31 - 1
"""Largest number of neurons in a port or population: their indices are int32."""


def encode_network(network: IntegerNetwork, name: str) -> tuple[bytes, bytes]:
    """Write a network.

    Args:
        network: A valid network.
        name: Name of the JSON file, for errors.

    Returns:
        The JSON and the safetensors file.

    Raises:
        HsnnError: If the network breaks its contract.
    """
    validate_network(network)
    structure = {
        "name": network.name,
        "timesteps": network.timesteps,
        "inputs": [_scalars(port, ()) for port in network.inputs],
        "populations": [_describe(item, POPULATIONS) for item in network.populations],
        "projections": [_describe(item, PROJECTIONS) for item in network.projections],
        "outputs": network.outputs,
    }
    tensors = {
        _key(group, item.name, array): getattr(item, array)
        for group, items, kinds in (
            ("population", network.populations, POPULATIONS),
            ("projection", network.projections, PROJECTIONS),
        )
        for item in items
        for array in ARRAYS[_kind(item, kinds)]
    }
    return dump_json(structure, name), dump_tensors(tensors)


def decode_network(structure: bytes, arrays: bytes, name: str) -> IntegerNetwork:
    """Read a network and check its contract.

    Args:
        structure: Content of the JSON file.
        arrays: Content of the safetensors file.
        name: Name of the JSON file, for errors.

    Raises:
        ArtifactError: If one of the files is wrong, they disagree, or the contract is broken.
    """
    model = parse_model(structure, schema_network.Network, name)
    tensors_name = name.removesuffix(".json") + ".safetensors"
    tensors = parse_tensors(arrays, tensors_name)
    expected = {
        _key(group, item.name, array)
        for group, items in (("population", model.populations), ("projection", model.projections))
        for item in items
        for array in ARRAYS[item.kind]
    }
    require_tensors(tensors, expected, tensors_name)
    _check_dtypes(tensors, tensors_name)
    for sized in (*model.inputs, *model.populations):
        _check_size(sized.name, sized.shape, name)
    try:
        network = IntegerNetwork(
            model.name,
            model.timesteps,
            tuple(InputPort(**port.model_dump()) for port in model.inputs),
            tuple(POPULATIONS[item.kind](**_fields(item, "population", tensors)) for item in model.populations),
            tuple(PROJECTIONS[item.kind](**_fields(item, "projection", tensors)) for item in model.projections),
            model.outputs,
        )
        validate_network(network)
    except HsnnError as error:
        raise ArtifactError("HSNN-A014", f"{name}: {error.found}", allowed=error.allowed, fix=_EDITED) from error
    return network


_EDITED = "the artifact was edited or comes from another version; build it again"


def _kind(item: Population | Projection, kinds: Mapping[str, type[Any]]) -> str:
    return next(kind for kind, class_ in kinds.items() if type(item) is class_)


def _describe(item: Population | Projection, kinds: Mapping[str, type[Any]]) -> dict[str, object]:
    kind = _kind(item, kinds)
    return {"kind": kind, **_scalars(item, ARRAYS[kind])}


def _scalars(item: InputPort | Population | Projection, arrays: tuple[str, ...]) -> dict[str, object]:
    values = {field.name: getattr(item, field.name) for field in fields(item) if field.name not in arrays}
    return {**values, "rule": encode_rule(item.rule)} if isinstance(item, PlasticProjection) else values


def _key(group: str, name: str, array: str) -> str:
    """Name of an array in the safetensors file; a name may hold slashes, an array's never does."""
    return f"{group}/{name}/{array}"


def _fields(
    item: schema_network.Population | schema_network.Projection,
    group: str,
    tensors: Tensors,
) -> dict[str, Any]:
    arrays = {array: tensors[_key(group, item.name, array)] for array in ARRAYS[item.kind]}
    rule = {"rule": decode_rule(item.rule)} if isinstance(item, schema_network.Plastic) else {}
    return {**item.model_dump(exclude={"kind", "rule"}), **rule, **arrays}


def _check_dtypes(tensors: Tensors, name: str) -> None:
    for key, array in tensors.items():
        expected = np.dtype(np.int16 if key.rsplit("/", 1)[1] in _WEIGHTS else np.int32)
        if array.dtype != expected:
            raise ArtifactError("HSNN-A013", f"{name}: {key!r} is {array.dtype}", allowed=str(expected), fix=_EDITED)


def _check_size(name: str, shape: tuple[int, ...], file: str) -> None:
    if math.prod(shape) > NEURON_LIMIT:
        raise ArtifactError(
            "HSNN-A014",
            f"{file}: {name!r} has {math.prod(shape)} neurons",
            allowed=f"up to {NEURON_LIMIT}",
            fix=_EDITED,
        )
