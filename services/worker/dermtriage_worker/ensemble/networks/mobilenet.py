"""MobileNetV2 without its head."""

import torchvision

from dermtriage_worker.ensemble.networks.headless import HeadlessNetwork


class MobileNetV2(HeadlessNetwork):
    """MobileNetV2 (Sandler et al. 2018), built from torchvision's layers under their names."""

    def __init__(self, classes: int) -> None:
        stages = list(torchvision.models.mobilenet_v2().features.children())[:-1]
        last = stages[-1]
        # Expansion and depthwise convolution stay; the projection and its batch norm go.
        last.conv = last.conv[:2]
        last.use_res_connect = False
        super().__init__(stages, last.conv[1][0].out_channels, classes)
