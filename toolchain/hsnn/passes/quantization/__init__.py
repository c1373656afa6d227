"""SpikingGraph to IntegerNetwork: scales, payloads and rounding, with the error of each."""
