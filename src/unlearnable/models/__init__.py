"""Backbones, heads and the LightningModules that train them.

Backbones are factories `(num_classes, *, in_channels=3, …) -> nn.Module` over inputs in [0, 1], not normalised.
"""

from typing import TYPE_CHECKING, Any

from unlearnable.models.resnet import resnet18
from unlearnable.models.tiny_resnet import TinyResNet, tiny_resnet

if TYPE_CHECKING:
    from unlearnable.models.single_task import SingleTask

__all__ = ["SingleTask", "TinyResNet", "resnet18", "tiny_resnet"]


def __getattr__(name: str) -> Any:  # Lightning loads only when a LightningModule is asked for
    if name == "SingleTask":
        from unlearnable.models.single_task import SingleTask

        return SingleTask
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
