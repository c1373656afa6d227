"""What a broken rule of an IntegerNetwork's contract is."""

from __future__ import annotations

from hsnn.errors import HsnnError


def require(holds: bool, found: str, allowed: str) -> None:
    """Raise ``HSNN-I001`` unless a rule of the contract holds."""
    if not holds:
        raise HsnnError(
            "HSNN-I001",
            found,
            allowed=allowed,
            fix="report this: hsnn built an integer network that breaks its own contract",
        )
