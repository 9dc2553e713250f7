"""Backbones, heads and the LightningModules that train them.

Backbones are factories `(num_classes, *, in_channels=3, …) -> nn.Module` over inputs in [0, 1], not normalised.
"""

import importlib
from typing import TYPE_CHECKING, Any

from unlearnable.models.timm_nets import senet18, timm_model, vit_small
from unlearnable.models.tiny_resnet import TinyResNet, tiny_resnet
from unlearnable.models.torchvision_nets import densenet121, mobilenet_v2, resnet18, resnet50

if TYPE_CHECKING:
    from unlearnable.models.multi_task import MultiTask as MultiTask
    from unlearnable.models.multi_task import make_multi_task as make_multi_task
    from unlearnable.models.single_task import SingleTask as SingleTask
    from unlearnable.models.single_task import make_single_task as make_single_task

# Lightning loads only when a LightningModule is asked for.
_HOMES = {
    "MultiTask": "multi_task",
    "make_multi_task": "multi_task",
    "SingleTask": "single_task",
    "make_single_task": "single_task",
}

__all__ = [
    *_HOMES,
    "TinyResNet",
    "densenet121",
    "mobilenet_v2",
    "resnet18",
    "resnet50",
    "senet18",
    "timm_model",
    "tiny_resnet",
    "vit_small",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
