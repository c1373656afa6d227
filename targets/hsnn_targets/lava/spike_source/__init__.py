"""A Lava process that plays spikes from a ring file."""
