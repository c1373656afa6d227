"""IntegerNetwork to chip: timesteps of the hardware, limits, neurocores."""
