"""Passes: pure functions from one representation to the next."""
