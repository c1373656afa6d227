"""A Lava process that records what several populations send."""
