"""Intermediate representations, in the order in which a build goes through them.

==================  ================================================================================
``hybrid``          the whole model: ONNX, ANN and spiking operators together
``plan``            what runs where: host stages, chip segments, and the cuts between them
``spiking``         a chip segment in float: populations and projections
``integer``         the same in integers: ``populations``, ``projections``; what learns in ``plastic``, ``learning``
``mapping``         which neurons lie on which neurocore of a ``chip``
==================  ================================================================================

What integers mean is in ``arithmetic`` and ``learning_arithmetic``. ``validate`` and its neighbours hold a network to
its contract; ``routes``, ``shape`` and ``contract`` are what these share.
"""
