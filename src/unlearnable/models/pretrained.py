"""Starting from pretrained weights in a local file, as a whole or as a linear probe."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from unlearnable.models.multi_head import MultiTaskNet
from unlearnable.options import existing_file

#: What a network's own classifier is called, in this project, torchvision and timm.
HEADS = ("fc", "classifier", "head", "heads")


def start_from(net: nn.Module, path: str | Path | None, *, tune: str = "all") -> None:
    """Loads pretrained weights into a network, in place.

    The head starts afresh where the file has none for it, or one of another shape: it was for other classes. A network
    of encoder and heads takes a backbone's weights for its encoder.

    Args:
        net: A backbone, or a `MultiTaskNet`.
        path: A state dict, in `.safetensors` or as `torch.save` writes it; it may lie under the key `state_dict` or
            `model`. None leaves the network as it is.
        tune: `all` trains everything on; `head` only the head, on features that stay as they are, BatchNorm's
            statistics too.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no weights, or those of another network, or `tune` is neither.
    """
    if tune not in ("all", "head") or (tune == "head" and path is None):
        raise ValueError(
            f"`model.tune` must be 'all', or 'head' (a linear probe on the features of model.pretrained); got {tune!r}"
            f"{' without model.pretrained' if path is None else ''}."
        )
    if path is None:
        return
    file = existing_file("model.pretrained", path, what="a state dict, .safetensors or from torch.save")
    _load(net, _read(file), file)
    if tune == "head":
        freeze_features(net)


def freeze_features(net: nn.Module) -> None:
    """Keeps all but the head from being trained: no gradients, and eval mode.

    Raises:
        ValueError: if the network has no part that is called like a head.
    """
    if not any(name in HEADS for name, _ in net.named_children()):
        raise ValueError(
            f"`model.tune` = head needs a network with a part called {', '.join(HEADS[:-1])}; this one has "
            f"{', '.join(name for name, _ in net.named_children())}."
        )
    for name, part in net.named_children():
        if name not in HEADS:
            part.requires_grad_(False).eval()
    for name, parameter in net.named_parameters(recurse=False):  # a transformer's own, such as its positions
        parameter.requires_grad_(name in HEADS)


def _read(file: Path) -> Mapping[str, Tensor]:
    found: Any
    try:
        found = (
            load_file(file)
            if file.suffix == ".safetensors"
            else torch.load(file, weights_only=True, map_location="cpu")
        )
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ValueError(
            f"`model.pretrained`: {file} cannot be read as tensors alone ({error}). Save a state dict: "
            "torch.save(model.state_dict(), path)."
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"`model.pretrained`: {file} holds no state dict, a mapping from names to tensors.")
    return found


def _load(net: nn.Module, weights: Mapping[str, Tensor], file: Path) -> None:
    own = isinstance(net, MultiTaskNet) and any(name.startswith("encoder.") for name in weights)
    target = net.encoder if isinstance(net, MultiTaskNet) and not own else net
    state = target.state_dict()
    fitting = {name: value for name, value in weights.items() if name in state and value.shape == state[name].shape}
    wrong = {
        "has no": [name for name in state if name not in weights],
        "has, unlike this network,": [name for name in weights if name not in state],
        "has another shape of": [name for name in weights if name in state and name not in fitting],
    }
    told = [
        f"{what} {_some(names)}" for what, found in wrong.items() if (names := [n for n in found if not _in_head(n)])
    ]
    if told or not any(not _in_head(name) for name in fitting):
        raise ValueError(
            f"`model.pretrained`: the weights in {file} are of another network: the file {'; '.join(told) or 'is empty'}. "
            "It must hold the state dict of the same `model`; only the head may differ."
        )
    target.load_state_dict(fitting, strict=False)


def _in_head(name: str) -> bool:
    return name.partition(".")[0] in HEADS


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
