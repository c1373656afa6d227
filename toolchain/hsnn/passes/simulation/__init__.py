"""The plan in floating point: simulated, measured on calibration samples."""
