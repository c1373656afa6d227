"""Hybrid model to plan: where every operator runs, host parts as ONNX, spiking parts as a SpikingGraph."""
