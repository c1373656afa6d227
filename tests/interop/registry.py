"""What hsnn takes from other libraries: every construct with its outcome, and the test that shows it.

``docs/interop.md`` is generated from this list (``python tests/interop/matrix.py``), and ``test_constructs.py`` runs
every check, so the page cannot promise what a test does not hold. To add rows, write a module with functions like

::

    @construct("snnTorch", "Leaky, reset to zero", EXACT)
    def leaky_zero():
        assert_equal(...)

and add its name to ``MODULES``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

EXACT = "exact"
POLICY = "exact with policy"
REFUSED = "refused"
ABSENT = "fails in the library"

MODULES: tuple[str, ...] = (
    "live_snntorch",
    "live_snntorch_options",
    "live_spikingjelly",
    "live_spikingjelly_options",
    "live_zoo",
    "live_norse",
    "live_norse_options",
    "live_sinabs",
    "live_slayer",
    "live_slayer_resonators",
    "live_loops",
    "live_over_time",
    "nir_nodes",
    "nir_files",
    "nir_kept",
    "nir_exports",
    "slayer",
    "slayer_alif",
    "slayer_resonators",
    "slayer_blocks",
    "netx_constructs",
)
"""Modules of this folder that define constructs, in the order of the page."""

_CONSTRUCTS: list[Construct] = []


@dataclass(frozen=True, slots=True)
class Construct:
    """One line of the support matrix.

    Attributes:
        library: Heading under which it is listed.
        name: What it is.
        outcome: ``EXACT``: the library's own float output equals ours over time. ``POLICY``: the same under an
            assumption that the note states. ``REFUSED``: a coded error. ``ABSENT``: an error of the library's own.
        note: Which policy, or why it is refused.
        code: Code of the error, where it is refused.
        check: Raises if the outcome is another; a refused construct has to raise an HsnnError of that code.
        lava: Whether it runs Lava.
    """

    library: str
    name: str
    outcome: str
    note: str
    code: str
    check: Callable[[], None]
    lava: bool = False


def construct(
    library: str, name: str, outcome: str, *, note: str = "", code: str = "", lava: bool = False
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a check as a line of the support matrix."""
    if outcome not in (EXACT, POLICY, REFUSED, ABSENT) or (outcome == REFUSED) != bool(code):
        raise ValueError(f"{name}: {outcome} with code {code!r}")
    if outcome != EXACT and not note:
        raise ValueError(f"{name}: {outcome} needs a note")

    def register(check: Callable[[], None]) -> Callable[[], None]:
        _CONSTRUCTS.append(Construct(library, name, outcome, note, code, check, lava))
        return check

    return register


def constructs() -> tuple[Construct, ...]:
    """Return all constructs, in the order of the page."""
    for name in MODULES:
        import_module(name)
    # Modules import each other, and tests import some of them, so the order of registration is not that of the page.
    return tuple(sorted(_CONSTRUCTS, key=lambda item: MODULES.index(item.check.__module__)))
