"""A Lava process in which spikes wait."""
