"""What pretrained networks without a head have in common.

The last block of these published networks narrows its channels without an activation, and then
widens them again for a thousand classes. Linear layers in front of a linear classifier of seven
classes add weights and no capability, so ours end after the last depthwise convolution.
"""

from torch import Tensor, nn

_DROPOUT = 0.2


class HeadlessNetwork(nn.Module):
    """Convolutional stages, global average pooling, and a linear classifier.

    Input (n, 3, s, s); output (n, classes) logits.

    Parameters
    ----------
    stages
        The stages, each from feature maps to feature maps.
    channels
        Channels of the last stage.
    classes
        Number of classes.
    """

    def __init__(self, stages: list[nn.Module], channels: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*stages)
        self.dropout = nn.Dropout(_DROPOUT)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, values: Tensor) -> Tensor:
        """Compute logits, shape (n, classes)."""
        maps: Tensor = self.features(values)
        logits: Tensor = self.classifier(self.dropout(maps.mean((2, 3))))
        return logits
