"""Plain networks without spikes: their marked activations become neurons, and what that costs over timesteps."""
