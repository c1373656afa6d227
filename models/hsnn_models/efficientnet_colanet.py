"""``efficientnet_colanet``: clothes in 28 by 28 pictures, told apart by EfficientNet-Lite0 and a CoLaNET head.

::

    image (1, 28, 28) -> EfficientNet-Lite0 -> 1,280 features -> rate code -> 1,280 x N synapses -> N Lif -> votes
                         host                                                 chip                          host

The head learned 10,000 training images of Fashion-MNIST in a single pass by local rules;
``python -m hsnn_models.colanet.evaluate --save-head FILE`` makes it again. The output is the votes of its 15 copies.
"""

from __future__ import annotations

from hsnn_models.colanet.deploy import FrozenHead, Hybrid
from hsnn_models.colanet.efficientnet import efficientnet_features
from hsnn_models.weights import packed


def efficientnet_colanet() -> Hybrid:
    """Return the trained model in evaluation mode; takes images ``(batch, 1, 28, 28)`` in [0, 1].

    Raises:
        UsageError: ``HSNN-U220``, if the packages with the EfficientNet are not installed, ``HSNN-U225``, if the
            packed head is damaged.
    """
    return Hybrid(efficientnet_features(), colanet_head()).eval()


def colanet_head() -> FrozenHead:
    """Return the trained head alone; takes features ``(batch, 1280)``.

    Raises:
        UsageError: ``HSNN-U225``, if the packed head is damaged.
    """
    return FrozenHead.load(packed("efficientnet_colanet"))
