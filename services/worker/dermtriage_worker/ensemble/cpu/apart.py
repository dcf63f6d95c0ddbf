"""First stages whose maps are large, a view at a time: more of them stays in a core's caches."""

from typing import cast

import torch
from torch import Tensor, nn


class Apart(nn.Module):
    """Stages that see one view after the other, however many come at once.

    Parameters
    ----------
    stages
        What each view goes through.
    """

    def __init__(self, stages: nn.Module) -> None:
        super().__init__()
        self._stages = stages

    def forward(self, values: Tensor) -> Tensor:
        """Compute the maps of all views, as the stages would of all at once."""
        return torch.cat([self._stages(view) for view in torch.split(values, 1)])


def apart(network: nn.Module, stages: int) -> nn.Module:
    """Have a network's first stages see one view at a time; the network is changed.

    Parameters
    ----------
    network
        Has its stages in ``features``, unless `stages` is 0.
    stages
        How many; the others keep their names.
    """
    if stages:
        features = cast(nn.Sequential, network.get_submodule("features"))
        first = nn.Sequential(*features[:stages])
        for index in range(1, stages):
            features[index] = nn.Identity()
        features[0] = Apart(first)
    return network
