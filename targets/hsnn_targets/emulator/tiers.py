"""Kernel tiers: which instructions the kernels may use on this processor.

``portable`` is plain code that runs anywhere. ``avx2`` adds 256-bit vectors and products of bytes that are
summed in 16 bits; ``avx512`` has 512-bit vectors and the dot products of bytes of AVX-512 VNNI; ``amx`` adds
products of tiles of bytes. Compiling an instruction that the processor lacks would abort the process, so the
processor is asked first, and a tier that it lacks is refused before anything is compiled. The system is asked,
too, whether the process may use tiles.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Literal, TypeAlias, get_args

from hsnn.errors import UsageError
from hsnn_targets.emulator.permission import may_use_tiles

Tier: TypeAlias = Literal["portable", "avx2", "avx512", "amx"]
TIERS: tuple[Tier, ...] = get_args(Tier)
"""Slowest first."""
TIER_VARIABLE = "HSNN_EMULATOR_TIER"
AVX512 = ("avx2", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni")
NEEDED: Mapping[Tier, tuple[str, ...]] = {
    "portable": (),
    "avx2": ("avx2",),
    "avx512": AVX512,
    "amx": (*AVX512, "amx-tile", "amx-int8"),
}
"""Processor features of each tier, as LLVM names them."""


@cache
def usable_tiers() -> tuple[Tier, ...]:
    """Tiers that this processor can run, slowest first; imports llvmlite."""
    from llvmlite import binding  # type: ignore[import-untyped]

    found = tiers_of(binding.get_host_cpu_features())
    return found if "amx" not in found or may_use_tiles() else tuple(tier for tier in found if tier != "amx")


def tiers_of(features: Mapping[str, bool]) -> tuple[Tier, ...]:
    """Tiers that a processor with these features can run.

    >>> tiers_of({"avx2": True, "avx512f": True})
    ('portable', 'avx2')
    """
    return tuple(tier for tier in TIERS if all(features.get(name, False) for name in NEEDED[tier]))


def choose_tier(wanted: str | None) -> Tier:
    """Resolve the tier.

    Args:
        wanted: What the caller asked for, or None for the environment and else the fastest.

    Raises:
        UsageError: ``HSNN-U041``, if there is no such tier or this processor cannot run it.
    """
    usable = usable_tiers()
    asked = wanted if wanted is not None else os.environ.get(TIER_VARIABLE, "")
    if not asked:
        return usable[-1]
    if asked not in usable:
        what = "option tier" if wanted is not None else f"environment variable {TIER_VARIABLE}"
        raise UsageError(
            "HSNN-U041",
            f"{what} is {asked!r}",
            allowed=f"on this processor: {', '.join(usable)}",
            fix="leave it out for the fastest of them",
        )
    return next(tier for tier in usable if tier == asked)
