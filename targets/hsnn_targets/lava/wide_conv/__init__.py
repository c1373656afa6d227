"""A Lava process for convolutions whose numbers leave Lava's own Conv."""
