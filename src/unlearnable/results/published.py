"""Published figures of the methods, shown beside measured ones for orientation only.

UDs are as reported and unverified: a secondary source puts TAP's 1.639 on a ViT, and "OPS lowest" contradicts EM's
0.139. Test accuracies are of ResNet-18 class models on undefended poisons. Runs of one method repeat within several
points only, and protocols differ, so these are orders of magnitude to compare with, not targets. Some are of another
algorithm than the one here and not to be compared with it at all; `unlike` says which and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Published:
    """What papers give for one method on one data set.

    Attributes:
        ud: Unlearnable distance, `Ye, Su and Qian (ICLR 2025) <https://arxiv.org/abs/2509.08058>`_, as reported.
        test_acc: Test accuracy in [0, 1] after 200 epochs, `APBench <https://arxiv.org/abs/2308.03258>`_.
        test_acc_iss: The same after 60 epochs, `Image Shortcut Squeezing <https://arxiv.org/abs/2301.13838>`_.
        defended: Defence → the same as `test_acc` under that defence.
        unlike: Why the accuracies are not comparable with the method of this name here; empty if they are.
    """

    ud: float | None = None
    test_acc: float | None = None
    test_acc_iss: float | None = None
    defended: Mapping[str, float] = field(default_factory=dict)
    unlike: str = ""


_CIFAR10: Mapping[str, Published] = {
    "clean": Published(ud=1.0, test_acc_iss=0.9468),
    "dc": Published(test_acc=0.1519, test_acc_iss=0.1630),
    "em": Published(ud=0.139, test_acc=0.2078, test_acc_iss=0.2105),
    "rem": Published(test_acc=0.1747, test_acc_iss=0.2544),
    "hypo": Published(test_acc=0.7038, test_acc_iss=0.7154),
    "ntga": Published(test_acc=0.2276),
    "tap": Published(ud=1.639, test_acc=0.0627, test_acc_iss=0.0817),
    "lsp": Published(test_acc=0.1306, test_acc_iss=0.1907),
    "ar": Published(test_acc=0.1174, test_acc_iss=0.1328),
    "ops": Published(ud=0.157, test_acc=0.1469, test_acc_iss=0.3655),
}
_CIFAR100: Mapping[str, Published] = {
    "em": Published(test_acc=0.0303),
    "rem": Published(test_acc=0.0373),
    "lsp": Published(test_acc=0.0256),
    "ar": Published(test_acc=0.0187),
}
_SVHN: Mapping[str, Published] = {
    "em": Published(test_acc=0.1033),
    "rem": Published(test_acc=0.1402),
    "lsp": Published(test_acc=0.1216),
    "ar": Published(test_acc=0.1923),
}
_IMAGENET100: Mapping[str, Published] = {
    "em": Published(test_acc=0.0294),
    "rem": Published(test_acc=0.0366),
    "lsp": Published(test_acc=0.3852),
}
#: APBench's columns on CIFAR-10, in per cent. Its "Gauss" is left out: a blur of σ = 0.1 pixels is the identity.
_DEFENSES = ("cutout", "cutmix", "mixup", "bdr", "gray", "jpeg", "ueraser_max", "diffusion", "adversarial")
_DEFENDED: Mapping[str, tuple[float, ...]] = {
    "dc": (19.94, 17.91, 25.07, 67.73, 85.55, 83.57, 92.17, 82.10, 76.85),
    "em": (18.79, 22.28, 31.14, 37.94, 92.03, 80.72, 93.61, 75.62, 82.51),
    "rem": (21.96, 26.22, 43.07, 58.60, 92.27, 85.44, 92.43, 82.42, 77.46),
    "hypo": (69.04, 67.12, 74.25, 74.82, 63.35, 85.21, 88.44, 85.94, 81.49),
    "ntga": (13.78, 12.91, 20.59, 59.32, 70.41, 68.72, 86.78, 86.22, 69.70),
    "tap": (9.88, 14.21, 15.46, 70.75, 11.01, 84.08, 79.05, 87.75, 79.92),
    "lsp": (14.96, 17.69, 18.77, 53.86, 64.70, 80.14, 92.83, 76.90, 81.38),
    "ar": (10.95, 12.60, 14.15, 36.14, 35.17, 84.75, 90.12, 88.60, 81.15),
    "ops": (52.98, 64.72, 49.27, 37.32, 19.88, 78.48, 77.99, 66.16, 14.95),
}
_UNLIKE: Mapping[str, str] = {
    "rem": "APBench's REM is another algorithm: EM's alternation restarted from adversarial noise, without the "
    "expectation over transformations",
    "dc": "the public generator is far longer trained, against a VGG-11 with a bottleneck, and chosen by test accuracy",
    "ntga": "APBench takes the kernel of a convolutional net, this method that of a fully connected one",
}
_DATASETS = {"cifar10": _CIFAR10, "cifar100": _CIFAR100, "svhn": _SVHN, "imagenet100": _IMAGENET100}


def published(dataset: str, poison: str) -> Published:
    """What papers give; empty for what they do not cover."""
    found = _DATASETS.get(dataset, {}).get(poison, Published())
    if found == Published():
        return found
    percent = _DEFENDED.get(poison, ()) if dataset == "cifar10" else ()
    defended = {name: value / 100 for name, value in zip(_DEFENSES, percent, strict=bool(percent))}
    return replace(found, defended=defended, unlike=_UNLIKE.get(poison, ""))
