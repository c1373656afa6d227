"""Front ends: each turns one kind of model into a hybrid ONNX model.

==================  ================================================================================
``dispatch``        chooses ``torch``, ``onnx`` or ``netx``; the commands choose the others
``torch``           torch modules with layers of ``hsnn.nn``: traced, made readable, compared with what they came from
``live``            torch modules with neurons of other libraries, which become layers of ``hsnn.nn`` first
``onnx``            hybrid ``.onnx`` files
``netx``            ``.net`` files of lava-dl, and back
``nir``             ``.nir`` files, and back
``spike``           plain ``.onnx`` networks: their ReLUs become neurons
``finish``          the last step of all: checked, with the operators' functions in it, every shape known
==================  ================================================================================
"""
