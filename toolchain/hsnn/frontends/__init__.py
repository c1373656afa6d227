"""Front ends: each turns one kind of model into a hybrid ONNX model."""
