"""LightningDataModules, one file a source; images live as 8-bit tensors."""

from unlearnable.data.cifar10 import Cifar10
from unlearnable.data.cifar100 import Cifar100
from unlearnable.data.digits import Digits
from unlearnable.data.imagenet100 import ImageNet100
from unlearnable.data.module import ImageDataModule
from unlearnable.data.multitask import MultiTaskDataModule
from unlearnable.data.rooms import Rooms
from unlearnable.data.samples import Batches, ImageSet, Targets, stratified
from unlearnable.data.svhn import Svhn
from unlearnable.data.taskonomy import Taskonomy
from unlearnable.tasks.base import Metric, Task

__all__ = [
    "Batches",
    "Cifar10",
    "Cifar100",
    "Digits",
    "ImageDataModule",
    "ImageNet100",
    "ImageSet",
    "Metric",
    "MultiTaskDataModule",
    "Rooms",
    "Svhn",
    "Targets",
    "Task",
    "Taskonomy",
    "stratified",
]
