"""Features of images: any trained network as ONNX, run in batches, and kept on disk.

Kept features are found by content: the SHA-256 of the network and of the images of a chunk, so that neither a changed
network nor changed images can bring back features of others. Each chunk is a file that appears whole or not at all; an
interrupted run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from hsnn.errors import UsageError
from hsnn_models.colanet.files import write_whole

if TYPE_CHECKING:
    from torch import nn

Floats = npt.NDArray[np.float32]
Tell = Callable[[int, int], None]
"""Called with the number of images that are done, and with that of all."""

CHUNK: Final = 200
"""Images a file."""
BATCH: Final = 8
"""Images that ONNX Runtime gets at once; more are slower on two cores."""
_EXPORT: Final = "1"
"""Raised when the same torch module would be exported to other ONNX."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoder:
    """A network that gives features, as ONNX.

    Attributes:
        model: The ONNX file; one input ``(batch, *shape)``, one output ``(batch, feature)``.
        digest: SHA-256 of the file.
    """

    model: bytes
    digest: str

    @classmethod
    def from_onnx(cls, path: Path | str) -> Encoder:
        """Take an ONNX file.

        Raises:
            UsageError: ``HSNN-U221``, if it cannot be read.
        """
        try:
            model = Path(path).read_bytes()
        except OSError as error:
            raise UsageError(
                "HSNN-U221", f"cannot read the encoder {path}: {error.strerror}", fix="check the path"
            ) from error
        return cls(model, hashlib.sha256(model).hexdigest())

    @classmethod
    def from_torch(cls, module: nn.Module, images: Floats, *, cache: Path | None = None) -> Encoder:
        """Export a torch module, once for all runs that share a cache.

        Args:
            module: Takes ``(batch, *shape)``, returns ``(batch, feature)``; it is left as it is.
            images: Some inputs to trace it with.
            cache: Folder that exported networks are kept in; None keeps none.

        Raises:
            UsageError: ``HSNN-F006`` or ``HSNN-F010``, if the module does not take the images.
            UnsupportedError: ``HSNN-F011`` to ``HSNN-F015``, if it cannot be exported.
        """
        if cache is None:
            model = _exported(module, images)
            return cls(model, hashlib.sha256(model).hexdigest())
        path = cache / f"encoder-{_digest_of(module, images)}.onnx"
        if not path.is_file():
            write_whole(path, _exported(module, images))
        return cls.from_onnx(path)


def default_cache() -> Path:
    """Return where features are kept: ``features`` under ``$HSNN_DATA`` or else under ``.data``."""
    return Path(os.environ.get("HSNN_DATA") or ".data") / "features"


def extract(
    encoder: Encoder,
    images: Floats,
    *,
    cache: Path | None = None,
    batch: int = BATCH,
    threads: int = 2,
    progress: Tell | None = None,
) -> Floats:
    """Return the features of images.

    Args:
        encoder: The network.
        images: float32, shape ``(image, *shape)``.
        cache: Folder that features are kept in, :data:`CHUNK` images a file; None keeps none.
        batch: Images that are run at once.
        threads: Threads of ONNX Runtime.
        progress: Told how many images are done.

    Returns:
        float32, shape ``(image, feature)``.

    Raises:
        UsageError: ``HSNN-U222``, if a feature is NaN or infinite, ``HSNN-U221``, if ONNX Runtime refuses the
            encoder or the images.
    """
    tell = progress or _silent
    session: Any = None
    chunks = []
    tell(0, len(images))
    for start in range(0, len(images), CHUNK):
        chunk = np.ascontiguousarray(images[start : start + CHUNK], np.float32)
        path = None if cache is None else cache / f"{_chunk_digest(encoder, chunk)}.npy"
        features = None if path is None else _kept(path, len(chunk))
        if features is None:
            session = session or _session(encoder, threads)
            features = _run(session, chunk, batch)
            if path is not None:
                write_whole(path, _as_npy(features))
        finite_features(features, first=start)
        chunks.append(features)
        tell(min(start + CHUNK, len(images)), len(images))
    return np.concatenate(chunks) if chunks else np.zeros((0, 0), np.float32)


def finite_features(features: Floats, *, first: int = 0) -> None:
    """Refuse features that are no numbers.

    Args:
        features: Shape ``(sample, feature)``.
        first: Number of the first sample, for the message.

    Raises:
        UsageError: ``HSNN-U222``, if one is NaN or infinite.
    """
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if bad.size:
        raise UsageError(
            "HSNN-U222",
            f"features of sample {first + int(bad[0])} are NaN or infinite, as are those of {bad.size - 1} others",
            allowed="finite numbers",
            fix="look at those images and at the encoder; nothing was learned from this call",
        )


def _run(session: Any, images: Floats, batch: int) -> Floats:
    name = session.get_inputs()[0].name
    parts = []
    for start in range(0, len(images), batch):
        try:
            (part,) = session.run(None, {name: images[start : start + batch]})
        except Exception as error:
            raise UsageError(
                "HSNN-U221",
                f"the encoder refuses the images: {error}",
                fix="give images of the shape and type that the encoder takes",
            ) from error
        parts.append(part.reshape(len(part), -1))
    return np.concatenate(parts).astype(np.float32, copy=False)


def _session(encoder: Encoder, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(encoder.model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UsageError(
            "HSNN-U221", f"ONNX Runtime refuses the encoder: {error}", fix="export the encoder again"
        ) from error
    if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
        raise UsageError(
            "HSNN-U221",
            f"the encoder has {len(session.get_inputs())} inputs and {len(session.get_outputs())} outputs",
            allowed="one of each",
            fix="export the network from images to features, and nothing else",
        )
    return session


def _exported(module: nn.Module, images: Floats) -> bytes:
    import onnx_ir
    import torch

    from hsnn.frontends.tidy import tidy
    from hsnn.frontends.torch_state import inference_copy
    from hsnn.frontends.torch_trace import trace

    example = torch.from_numpy(np.ascontiguousarray(images[:2], np.float32))
    proto = onnx_ir.to_proto(tidy(*trace(inference_copy(module), (example,))))
    return bytes(proto.SerializeToString())


def _digest_of(module: nn.Module, images: Floats) -> str:
    """Return a digest of what the export of a module depends on."""
    import torch

    found = hashlib.sha256(f"{_EXPORT} {torch.__version__} {type(module).__qualname__} {module}".encode())
    found.update(str(images.shape[1:]).encode())
    for name, value in module.state_dict().items():
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    return found.hexdigest()


def _chunk_digest(encoder: Encoder, images: Floats) -> str:
    found = hashlib.sha256(f"{encoder.digest} {images.shape}".encode())
    found.update(images.tobytes())
    return found.hexdigest()


def _kept(path: Path, count: int) -> Floats | None:
    """Return the features of a chunk that were kept; None if there are none, or if they are damaged."""
    try:
        features = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = features.ndim == 2 and len(features) == count and features.dtype == np.float32
    return features if whole else None


def _as_npy(features: Floats) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    np.save(buffer, features, allow_pickle=False)
    return buffer.getvalue()


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
