"""Hybrid model to hybrid model: one form for equal things, frozen scales, decoders on the chip."""
