"""CoLaNET: a spiking classifier that learns in a single pass by local rules, on features of any trained network.

::

    images -> features (ONNX Runtime) -> rate code -> plastic synapses -> LIF neurons -> votes of columns
              features.py                 head.py: learns by reference.py or fast.py     deploy.py: frozen, on Loihi

Source of the system: Larionov, Shtanchaev, Kiselev, Korovin, Tugoy, "Hybrid ANN-SNN Pipeline with Local Plasticity",
arXiv 2606.20151; of the classifier: Kiselev et al., arXiv 2409.01230, and its open implementation in Kaspersky
Neuromorphic Platform (KasperskyLab/knp @ 70208e95, ``examples/mnist-learn``), which this one follows in its rules.
"""
