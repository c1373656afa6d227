"""Intermediate representations: hybrid ONNX, float spiking graph, integer network."""
