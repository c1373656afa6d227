"""Look for Lava without importing it, in this interpreter or as a script in another one.

As a script it must run where hsnn is not installed, so it needs the standard library only.
"""

from __future__ import annotations

import json
import sys
from importlib import metadata, util
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TypedDict

NEEDED = ("numpy", "scipy", "networkx")
"""What Lava imports where hsnn uses it; its other requirements are for parts that hsnn does not use."""


class Finding(TypedDict):
    """What an interpreter has.

    Attributes:
        python: Its version.
        lava: Version of lava-nc, or an empty string.
        problem: Why Lava cannot be imported, or an empty string.
        extension: Whether Intel's extension for Loihi is installed.
    """

    python: str
    lava: str
    problem: str
    extension: bool


def look() -> Finding:
    """Look for the distribution lava-nc; another package that is called lava does not count."""
    finding = Finding(python=".".join(map(str, sys.version_info[:3])), lava="", problem="", extension=False)
    try:
        distribution = metadata.distribution("lava-nc")
    except metadata.PackageNotFoundError:
        finding["problem"] = "lava-nc is not installed"
        return finding
    finding["lava"] = distribution.version
    places = _places("lava")
    if Path(str(distribution.locate_file("lava"))).resolve() not in places:
        finding["problem"] = f"another package called lava hides lava-nc {distribution.version}"
        return finding
    missing = [name for name in NEEDED if util.find_spec(name) is None]
    if missing:
        finding["problem"] = f"lava-nc {distribution.version} lacks {', '.join(missing)}"
    utils = [str(place / "utils") for place in places]
    finding["extension"] = PathFinder.find_spec("lava.utils.loihi2_profiler", utils) is not None
    return finding


def _places(package: str) -> list[Path]:
    """Directories from which a new interpreter would import a top-level package, whatever this one has imported."""
    for finder in sys.meta_path:
        spec = finder.find_spec(package, None)
        if spec is not None:
            return [Path(place).resolve() for place in spec.submodule_search_locations or ()]
    return []


if __name__ == "__main__":
    sys.stdout.write(json.dumps(look()))
