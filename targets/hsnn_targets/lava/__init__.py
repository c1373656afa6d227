"""Lava's simulation of Loihi 2, in a supervised worker process."""
