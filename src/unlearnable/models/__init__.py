"""Backbones, heads and the LightningModules that train them.

Backbones are factories `(num_classes, *, in_channels=3, …) -> nn.Module` over inputs in [0, 1], not normalised.
"""

from unlearnable.models.resnet import resnet18
from unlearnable.models.tiny_resnet import TinyResNet, tiny_resnet

__all__ = ["TinyResNet", "resnet18", "tiny_resnet"]
