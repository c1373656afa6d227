"""Run a compiled program: host segments on ONNX Runtime, spiking segments on a target."""
