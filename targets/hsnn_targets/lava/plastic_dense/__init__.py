"""Lava's LearningDense, going on from where it stopped."""
