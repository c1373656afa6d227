"""Example hybrid networks with their training scripts and trained weights."""
