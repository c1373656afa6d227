"""NIR files, the Neuromorphic Intermediate Representation, to hybrid models and back."""
