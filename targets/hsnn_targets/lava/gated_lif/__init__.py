"""A Lava process for LIF neurons that Lava's own LIF cannot hold."""
