"""Fetch the full Fashion-MNIST: ``python -m hsnn_models.fetch_fashion FOLDER``.

It comes out of Debian's package ``dataset-fashion-mnist``, which is downloaded and unpacked here without being
installed, so that no rights are needed. Elsewhere the four files can be put into FOLDER by hand.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console

from hsnn.errors import HsnnError, UsageError
from hsnn_models import fashion_files

PACKAGE: Final = "dataset-fashion-mnist"
TIME_LIMIT: Final = 900.0


def fetch(folder: Path) -> None:
    """Put the four files of Fashion-MNIST into a folder, unless it has them already.

    Args:
        folder: Where they go; made if need be. It is changed only once all four files are proven right.

    Raises:
        UsageError: HSNN-U207 if they cannot be fetched here.
    """
    if _complete(folder):
        return
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise _by_hand("this system has no apt-get and dpkg-deb", folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        _run(["apt-get", "download", PACKAGE], Path(scratch), folder)
        _run(["dpkg-deb", "-x", *(path.name for path in Path(scratch).glob("*.deb")), "."], Path(scratch), folder)
        unpacked = Path(scratch) / "usr/share/datasets/fashion-mnist"
        if not _complete(unpacked):
            raise _by_hand(f"the package {PACKAGE} holds other files than it did", folder)
        folder.mkdir(exist_ok=True)
        for name in fashion_files.CONTENTS:
            shutil.move(unpacked / f"{name}.gz", folder / f"{name}.gz")


def _complete(folder: Path) -> bool:
    try:
        fashion_files.find(folder)
        fashion_files.load(folder, "train")
        fashion_files.load(folder, "t10k")
    except UsageError:
        return False
    return True


def _run(command: list[str], scratch: Path, folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
    except subprocess.TimeoutExpired as error:
        raise _by_hand(f"`{' '.join(command)}` took more than {TIME_LIMIT:.0f} s", folder) from error
    if done.returncode != 0:
        reasons = [line for line in done.stderr.splitlines() if not line.startswith("W:")] or ["no reason given"]
        raise _by_hand(f"`{' '.join(command)}` failed: {reasons[0]} (has `apt-get update` been run?)", folder)


def _by_hand(reason: str, folder: Path) -> UsageError:
    names = ", ".join(f"{name}.gz" for name in fashion_files.CONTENTS)
    return UsageError(
        "HSNN-U207",
        f"cannot fetch Fashion-MNIST: {reason}",
        fix=f"put {names} of Fashion-MNIST into {folder}, or into another folder and name it with --data",
    )


def main() -> int:
    """Fetch the files; return the exit status."""
    parser = argparse.ArgumentParser(description="Fetch the full Fashion-MNIST.")
    parser.add_argument("folder", type=Path, help="where to put its four files")
    folder = parser.parse_args().folder
    console = Console()
    console.print(f"Fashion-MNIST: fetching 31 MB into {folder}, if it is not there", soft_wrap=True)
    try:
        fetch(folder)
    except HsnnError as error:
        Console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
        return error.exit_status
    console.print(f"Fashion-MNIST: all four files are in {folder}, their SHA-256 as expected", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
