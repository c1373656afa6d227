"""Find a way to a board, from the environment alone.

The names are those that Intel's stack reads: ``SLURM``, ``NOSLURM``, ``NXSDKHOST``, ``BOARD``, ``PARTITION``
and ``LOIHI_GEN`` (lava ``utils/loihi.py`` and ``utils/slurm.py`` at b6822fb).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping

ALLOWED = "SLURM=1 or sinfo on the PATH for a cluster; NOSLURM=1 and NXSDKHOST=ADDRESS for a board on the network"


def way_to_board(environment: Mapping[str, str]) -> str:
    """Say how the environment leads to a board, or return an empty string.

    Lava's own ``slurm.is_available`` raises where ``sinfo`` is missing, so it is not asked.
    """
    if environment.get("NOSLURM") == "1":
        host = environment.get("NXSDKHOST", "")
        return f"the board at {host}" if host else ""
    if environment.get("SLURM") == "1" or shutil.which("sinfo", path=environment.get("PATH")):
        board = environment.get("BOARD") or environment.get("PARTITION")
        return f"SLURM, {board}" if board else "SLURM"
    return ""
