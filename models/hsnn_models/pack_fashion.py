"""Pack the subset of Fashion-MNIST that tests use: ``python -m hsnn_models.pack_fashion FOLDER``.

FOLDER has the four files of the full set. Writes ``fashion_subset.safetensors`` beside this module; the same files
give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
from rich.console import Console
from safetensors.numpy import save

from hsnn_models import data, fashion_files


def pack(folder: Path) -> bytes:
    """Return the packed subset: the first images of two splits of the full set, as uint8.

    Args:
        folder: Where the four files of the full set are.

    Returns:
        A safetensors file with ``calibration.pixels``, ``calibration.labels``, ``test.pixels`` and ``test.labels``.

    Raises:
        UsageError: HSNN-U203 or HSNN-U204, see `hsnn_models.data.fashion`.
    """
    calibration = data.fashion("calibration", root=folder).first(data.FASHION_SUBSET_CALIBRATION)
    test = data.fashion("test", root=folder).first(data.FASHION_SUBSET_TEST)
    arrays = {}
    for name, images in (("calibration", calibration), ("test", test)):
        arrays[f"{name}.pixels"] = np.rint(images.images[:, 0] * 255).astype(np.uint8)
        arrays[f"{name}.labels"] = images.labels.astype(np.uint8)
    return save(arrays, metadata={"source": "Fashion-MNIST, Zalando SE 2017, MIT licence, see fashion_license.txt"})


def main() -> None:
    """Pack the subset and show its hash, which `hsnn_models.fashion_files` must name."""
    parser = argparse.ArgumentParser(description="Pack the subset of Fashion-MNIST that tests use.")
    parser.add_argument("folder", type=Path, help="folder with the four files of the full set")
    content = pack(parser.parse_args().folder)
    fashion_files.SUBSET.write_bytes(content)
    Console().print(f"{fashion_files.SUBSET.name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
