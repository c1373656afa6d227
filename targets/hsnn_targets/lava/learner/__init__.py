"""A Lava process for neurons that compete and send a third factor."""
