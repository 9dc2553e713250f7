"""A shared encoder with one decoder head a task."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from unlearnable.options import Number, switch, whole
from unlearnable.tasks import Task

Backbone = Callable[..., nn.Module]
_CLASSIFIERS = ("fc", "classifier", "head")


class Chain(nn.Sequential):
    """A backbone's children before its global pooling, under their own names."""

    def forward_features(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """The feature map."""
        return cast(Tensor, self(images))

    def forward_stages(self, images: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        """The last feature map of each resolution, fine to coarse."""
        parts: Any = list(self.children())
        if len(parts) == 1:  # torchvision's `features`
            parts = list(parts[0].children())
        x = images
        maps: list[Tensor] = []
        for part in parts:
            x = part(x)
            if maps and maps[-1].shape[-2:] == x.shape[-2:]:
                maps.pop()
            maps.append(x)
        return maps


def make_encoder(backbone: nn.Module) -> nn.Module:
    """The backbone without its classifier, with a method `forward_features` that returns its last feature map.

    A network that has such a method (as timm's do) keeps it. Of others, `features` is taken where there is one (as in
    torchvision's VGG, DenseNet and MobileNet), else the children before the first adaptive pooling as a chain (as in
    its residual networks); whether they are one is checked against the network.

    Raises:
        ValueError: if it has no feature map `[n, d, i, j]`.
    """
    if not callable(getattr(backbone, "forward_features", None)):
        features = getattr(backbone, "features", None)
        return Chain(OrderedDict(features=features)) if isinstance(features, nn.Module) else _as_chain(backbone)
    for name in _CLASSIFIERS:
        if isinstance(getattr(backbone, name, None), nn.Module):
            setattr(backbone, name, nn.Identity())
    return backbone


def _as_chain(backbone: nn.Module) -> Chain:
    children = dict(backbone.named_children())
    names = list(children)
    pools = [name for name in names if isinstance(children[name], nn.AdaptiveAvgPool2d)]
    remedy = "give it a method `forward_features` that returns [n, d, i, j]"
    if not pools or names.index(pools[0]) == 0:
        raise ValueError(f"{type(backbone).__name__} cannot be used as an encoder; {remedy}.")
    chain = Chain()
    for name in names[: names.index(pools[0])]:
        chain.add_module(name, children[name])
    rest = [children[name] for name in names[names.index(pools[0]) + 1 :]]
    backbone.eval()
    with torch.no_grad():
        probe = torch.linspace(0, 1, 3 * 64 * 64).view(1, 3, 64, 64)
        pooled = torch.flatten(children[pools[0]](chain(probe)), 1)
        for module in rest:
            pooled = module(pooled)
        same = torch.allclose(pooled, backbone(probe), atol=1e-4)
    backbone.train()
    if not same:
        raise ValueError(f"The children of {type(backbone).__name__} are no plain chain; {remedy}.")
    return chain


def feature_map(encoder: nn.Module, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
    """The encoder's last feature map; a transformer's tokens are put back in their places.

    Raises:
        ValueError: if it returns neither maps nor the tokens of a square.
    """
    network: Any = encoder
    features: Tensor = network.forward_features(images)
    if features.ndim == 3:
        tokens = features[:, getattr(encoder, "num_prefix_tokens", 0) :]
        side = math.isqrt(tokens.shape[1])
        if side**2 == tokens.shape[1]:
            return tokens.transpose(1, 2).unflatten(2, (side, side))
    if features.ndim != 4:
        raise ValueError(
            f"An encoder must return a feature map [n, d, i, j] or the tokens of a square picture; this backbone's "
            f"features have shape {tuple(features.shape)}."
        )
    return features


def stage_maps(encoder: nn.Module, images: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n _ _ _"]]:
    """The encoder's feature maps, coarse to fine, each of twice the resolution of the one before.

    Raises:
        ValueError: if it does not give its stages' maps, or one of them is not twice as large as the next.
    """
    network: Any = encoder
    if not callable(getattr(encoder, "forward_stages", None)):
        raise ValueError(
            f"`task.skips` needs the feature maps of the backbone's stages, which {type(encoder).__name__} does not "
            "give: add a method `forward_stages` that returns them, fine to coarse, or use task.skips=false."
        )
    maps: list[Tensor] = network.forward_stages(images)[::-1]
    kept = [maps[0]]
    for finer in maps[1:]:
        if finer.shape[-1] == images.shape[-1] or not 0 <= 2 * kept[-1].shape[-1] - finer.shape[-1] <= 1:
            break
        kept.append(finer)
    return kept


class MultiTaskNet(nn.Module):
    """One encoder, one head a task: images → {task: prediction}.

    Layers are named `encoder.<name in the backbone>` and `heads.<task>.<name in the head>`.

    Args:
        encoder: Has `forward_features`, see `make_encoder`; with skips also `forward_stages`.
        heads: Task → head over the feature map, and over the finer ones where there are skips.
        skips: Whether the heads see the encoder's finer maps too.
    """

    def __init__(self, encoder: nn.Module, heads: Mapping[str, nn.Module], *, skips: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(heads)
        self.skips = skips

    @override
    def forward(self, images: Float[Tensor, "n c h w"]) -> dict[str, Tensor]:
        features = self.features(images)
        return self.predict(features, images.shape[-2:])

    def features(self, images: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        """The shared feature maps: the last one, and with skips the finer ones, coarse to fine."""
        return stage_maps(self.encoder, images) if self.skips else [feature_map(self.encoder, images)]

    def predict(self, features: Sequence[Float[Tensor, "n _ _ _"]], size: torch.Size) -> dict[str, Tensor]:
        """Each head's prediction; dense ones cut to `size`, where strides had rounded up."""
        last, *finer = features
        outputs = {task: head(last, finer) for task, head in self.heads.items()}
        return {
            task: output[..., : size[0], : size[1]] if output.ndim == 4 else output for task, output in outputs.items()
        }

    def for_task(self, task: str) -> MultiTaskNet:
        """The part that `task` depends on, encoder and its own head: the same modules under the same names."""
        return MultiTaskNet(self.encoder, {task: self.heads[task]}, skips=self.skips)


def make_multi_task_net(
    backbone: Backbone, tasks: Mapping[str, Task], *, width: Number = 16, skips: bool = False
) -> MultiTaskNet:
    """Builds a net for `tasks` on a backbone of the model group.

    Args:
        backbone: Called with a number of outputs; its classifier is not used.
        tasks: What to predict.
        width: Channels within the dense heads.
        skips: Whether the dense heads see the encoder's finer feature maps too, see `DenseHead`.

    Raises:
        ValueError: if the backbone has no feature map, or for `skips` no maps of its stages.
    """
    skips = switch("task.skips", skips)
    width = whole("task.head_width", width, at_least=1, what="a number of channels")
    encoder: Any = make_encoder(backbone(1))
    sizes = (getattr(module, "img_size", None) for module in encoder.modules())  # of networks that take one size alone
    side = next((size if isinstance(size, int) else size[0] for size in sizes if size), 64)
    encoder.eval()
    with torch.no_grad():
        blank = torch.zeros(1, 3, side, side)
        last, *finer = stage_maps(encoder, blank) if skips else [feature_map(encoder, blank)]
    encoder.train()
    channels, stages = last.shape[1], max(1, math.ceil(math.log2(side / last.shape[-1])))
    seen: dict[str, Any] = {"skips": [skip.shape[1] for skip in finer]} if skips else {}
    heads = {name: task.head(channels, stages=stages, width=width, **seen) for name, task in tasks.items()}
    return MultiTaskNet(encoder, heads, skips=skips)
