"""Small ``.net`` files as lava-dl writes them, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Layer: TypeAlias = "Mapping[str, Any]"

CUBA: Layer = {
    "neuron/type": "CUBA",
    "neuron/iDecay": 1024,
    "neuron/vDecay": 128,
    "neuron/vThMant": 80,
    "neuron/refDelay": 1,
    "neuron/gradedSpike": False,
}


def even(seed: int, *shape: int, low: int = -256, high: int = 254) -> NDArray[np.float32]:
    """Even integers as lava-dl stores weights: float32."""
    return (2 * np.random.default_rng(seed).integers(low // 2, high // 2 + 1, shape)).astype(np.float32)


def dense(seed: int, inputs: int, outputs: int, **more: Any) -> dict[str, Any]:
    """A dense layer."""
    return {
        "type": b"dense",
        "shape": [outputs],
        "inFeatures": inputs,
        "outFeatures": outputs,
        "weight": even(seed, outputs, inputs),
        **CUBA,
        **more,
    }


def conv(seed: int, inputs: int, shape: tuple[int, int, int], kernel: int, **more: Any) -> dict[str, Any]:
    """A convolution with stride 1 and no padding."""
    return {
        "type": b"conv",
        "shape": list(shape),
        "inChannels": inputs,
        "outChannels": shape[0],
        "kernelSize": [kernel, kernel],
        "stride": [1, 1],
        "padding": [0, 0],
        "dilation": [1, 1],
        "groups": 1,
        "weight": even(seed, shape[0], inputs, kernel, kernel),
        **CUBA,
        **more,
    }


def arrays_of(layers: Sequence[Layer], timesteps: int | None = 16) -> dict[str, NDArray[Any]]:
    """The arrays of a file, by path, as the reader of HDF5 hands them on."""
    found: dict[str, NDArray[Any]] = {} if timesteps is None else {"simulation/tSample": np.array(timesteps)}
    for index, layer in enumerate(layers):
        for name, value in layer.items():
            if value is None:
                continue
            raw = value.encode() if isinstance(value, str) else value
            found[f"layer/{index}/{name}"] = np.array(raw, "S256") if isinstance(raw, bytes) else np.asarray(raw)
    return found


def write_net(path: Path, layers: Sequence[Layer], timesteps: int | None = 16) -> Path:
    """Write a file with the types of lava-dl: ``|S10 (1,)`` for layers, texts of any length for neurons."""
    import h5py

    with h5py.File(path, "w") as file:
        root = file.create_group("layer")
        if timesteps is not None:
            file["simulation/tSample"] = timesteps
        for index, layer in enumerate(layers):
            group = root.create_group(str(index))
            for name, value in layer.items():
                if name == "type":
                    group.create_dataset(name, (1,), "S10", [value])
                elif value is not None:
                    group.create_dataset(name, data=value)
    return path
