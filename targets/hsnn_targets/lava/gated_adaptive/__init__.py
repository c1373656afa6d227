"""A Lava process for LIF neurons whose threshold adapts."""
