"""Write spyx.npz: NIR files that spyx 1.0.0 itself wrote, and what spyx makes of an input.

Run where ``spyx``, ``jax`` and ``nir`` are installed: ``python tests/interop/spyx_recipe.py``. What is kept is compared
by ``tests/interop/nir_kept.py``, so that no test needs jax.
"""

from __future__ import annotations

import io
from pathlib import Path

import jax
import jax.numpy as jnp
import nir
import numpy as np
from flax import nnx
from spyx import nir as spyx_nir
from spyx import nn as spyx

TIMESTEPS, BATCH = 12, 3
TARGET = Path(__file__).with_name("spyx.npz")


def each(seed: int, low: float, high: float, size: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).uniform(low, high, size), jnp.float32)


def lif(size: int, seed: int, rngs: nnx.Rngs) -> nnx.Module:
    neuron = spyx.LIF((size,), threshold=0.8, rngs=rngs)
    neuron.beta[...] = each(seed, 0.2, 0.95, size)
    return neuron


def cuba(size: int, seed: int, rngs: nnx.Rngs) -> nnx.Module:
    neuron = spyx.CuBaLIF((size,), threshold=0.9, rngs=rngs)
    neuron.alpha[...] = each(seed, 0.1, 0.8, size)
    neuron.beta[...] = each(seed + 1, 0.2, 0.9, size)
    return neuron


def networks() -> dict[str, nnx.Module]:
    rngs = nnx.Rngs(3)

    def linear(a: int, b: int) -> nnx.Module:
        layer = nnx.Linear(a, b, rngs=rngs)
        layer.kernel[...] = layer.kernel[...] * 3.0
        return layer

    return {
        "lif": spyx.Sequential(linear(6, 5), lif(5, 1, rngs), linear(5, 4), lif(4, 2, rngs)),
        "if": spyx.Sequential(linear(6, 5), spyx.IF((5,), threshold=0.7), linear(5, 4), lif(4, 3, rngs)),
        "cuba": spyx.Sequential(linear(6, 5), cuba(5, 4, rngs), linear(5, 4), lif(4, 6, rngs)),
        "recurrent": spyx.Sequential(linear(6, 5), spyx.RLIF((5,), beta=0.7, rngs=rngs), linear(5, 4), lif(4, 7, rngs)),
    }


def main() -> None:
    x = (np.random.default_rng(0).random((TIMESTEPS, BATCH, 6)) < 0.5).astype(np.float32)
    kept: dict[str, np.ndarray] = {"x": x.swapaxes(0, 1)}
    for name, network in networks().items():
        outputs, _ = spyx.run(network, jnp.asarray(x))
        graph = spyx_nir.to_nir(network, {"input": np.array([6])}, {"output": np.array([4])}, dt=1)
        stream = io.BytesIO()
        nir.write(stream, graph)
        kept[f"{name}.nir"] = np.frombuffer(stream.getvalue(), np.uint8)
        kept[f"{name}.y"] = np.asarray(outputs).swapaxes(0, 1)
    np.savez_compressed(TARGET, **kept)


if __name__ == "__main__":
    main()
