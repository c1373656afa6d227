"""A Lava process for resonate-and-fire neurons."""
