"""hsnn: compile hybrid ANN-SNN networks for a host and Loihi 2."""
