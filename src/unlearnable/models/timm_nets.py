"""Networks from timm's zoo (the extra `timm`), randomly initialised."""

from __future__ import annotations

from typing import Any

from torch import nn

from unlearnable.models.torchvision_nets import resnet_with_stem


def timm_model(num_classes: int, *, name: str, in_channels: int = 3, **options: Any) -> nn.Module:
    """Any of timm's models.

    Args:
        num_classes: Length of the output.
        name: As in `timm.list_models()`.
        in_channels: Channels of the input images.
        **options: More of `timm.create_model`, such as `img_size`, `patch_size` or `drop_path_rate`.

    Raises:
        ValueError: if timm has no model of that name; the message lists similar ones.
        ModuleNotFoundError: if timm is not installed.
    """
    timm = _timm()
    if not timm.is_model(name):
        from difflib import get_close_matches

        similar = get_close_matches(name, timm.list_models(), n=5, cutoff=0.4)
        raise ValueError(f"timm has no model {name!r}; similar: {', '.join(similar) or 'none'}.")
    return timm.create_model(name, pretrained=False, num_classes=num_classes, in_chans=in_channels, **options)


def senet18(num_classes: int, *, in_channels: int = 3, stem: str = "cifar") -> nn.Module:
    """SENet-18: ResNet-18 with squeeze-and-excitation blocks (Hu et al., 2018); timm's `seresnet18`.

    Args:
        num_classes: Length of the output.
        in_channels: Channels of the input images.
        stem: As in `resnet18`.
    """
    return resnet_with_stem(timm_model(num_classes, name="seresnet18"), in_channels, stem)


def vit_small(num_classes: int, *, in_channels: int = 3, image_size: int = 32, patch_size: int = 4) -> nn.Module:
    """ViT-small (Dosovitskiy et al., 2021; timm's): 12 blocks, width 384, 6 heads, with patches for small images.

    Args:
        num_classes: Length of the output.
        in_channels: Channels of the input images.
        image_size: Side of the images that the position embedding is made for; others are interpolated.
        patch_size: Side of a patch; 4 makes 64 tokens of a 32×32 image.
    """
    return timm_model(
        num_classes,
        name="vit_small_patch16_224",
        in_channels=in_channels,
        img_size=image_size,
        patch_size=patch_size,
        dynamic_img_size=True,
    )


def _timm() -> Any:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "This model comes from timm, which is not installed: pip install 'unlearnable[timm]'."
        ) from error
    return timm
