"""Run a compiled program: host segments on ONNX Runtime, spiking segments on a target.

``session`` is where to start: it checks ``inputs``, and moves batches through the loaded ``stages``, one after the
other or in the threads of ``pipeline``. ``host`` runs a stage on ONNX Runtime; ``bridge`` turns its values into
payloads of a chip and back. ``lessons`` teach a program whose synapses learn.
"""
