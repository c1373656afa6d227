"""Loihi 2 boards, through Intel's extension of Lava."""
