"""The verify ladder: each stage proven against the one before."""
