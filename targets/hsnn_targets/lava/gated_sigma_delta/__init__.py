"""A Lava process for sigma-delta and delta neurons that start every sample from rest."""
