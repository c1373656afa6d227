"""Artifacts with contents of a forger, whose hashes agree."""

from __future__ import annotations

import hashlib
import json

from hsnn.artifact.decode import decode, parse_manifest
from hsnn.artifact.encode import encode

CHIP = "chip/01_chip.0.json"
ARRAYS = "chip/01_chip.0.safetensors"
HOST = "host/00_host.0.onnx"


def canonical(content):
    return (json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def reseal(files):
    """Give files a manifest that agrees with them, as a careful forger would."""
    manifest = json.loads(files["manifest.json"])
    manifest.pop("sha256")
    manifest["files"] = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
        if name != "manifest.json"
    }
    return {**files, "manifest.json": sealed(manifest)}


def sealed(manifest):
    return canonical({**manifest, "sha256": hashlib.sha256(canonical(manifest)).hexdigest()})


def decode_files(files):
    return decode(parse_manifest(files["manifest.json"]), {k: v for k, v in files.items() if k != "manifest.json"})


def forge(program, **changes):
    """Files of a program with some replaced, and a manifest that agrees."""
    return reseal({**encode(program), **{name.replace("__", "/"): data for name, data in changes.items()}})


def write_folder(files, path):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path
