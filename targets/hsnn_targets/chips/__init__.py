"""Chip descriptions: limits as data, each with its source."""
