"""A Lava process for read-out neurons that send their voltage."""
