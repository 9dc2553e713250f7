"""Which weights make up a layer."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from jaxtyping import Float
from torch import Tensor, nn

LayerChoice = str | Sequence[str] | Mapping[str, Sequence[str]]

# Attributes that hold a layer's matrix, by module type. Norm layers, biases and free position vectors are no layers in
# the published code; patterns reach them by the parameter's name.
_MATRICES: tuple[tuple[type[nn.Module], tuple[str, ...]], ...] = (
    (nn.modules.conv._ConvNd, ("weight",)),
    (nn.Linear, ("weight",)),
    (nn.Bilinear, ("weight",)),
    (nn.Embedding, ("weight",)),
    (nn.EmbeddingBag, ("weight",)),
    (nn.MultiheadAttention, ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")),
)


#: Matrices that a warning has named: a job measures many times.
_NAMED: set[tuple[str, ...]] = set()


@dataclass(frozen=True, eq=False)
class Layer:
    """Weights that are perturbed together, as one vector.

    Args:
        name: The module's (or the group's) name.
        parameters: Its weights; tied weights appear once in the whole model.
    """

    name: str
    parameters: tuple[nn.Parameter, ...]

    @property
    def size(self) -> int:
        """How many numbers there are in the layer."""
        return sum(parameter.numel() for parameter in self.parameters)

    def vector(self) -> Float[Tensor, " n"]:
        """A copy of the weights as one vector."""
        return flatten([parameter.detach() for parameter in self.parameters]).clone()

    def shaped(self, weights: Float[Tensor, " n"]) -> tuple[Tensor, ...]:
        """A vector as the layer's parameters are: in their shapes, and in their order in memory."""
        parts = torch.split(weights, [parameter.numel() for parameter in self.parameters])
        return tuple(_laid_out_like(p.data, part.view(p.shape)) for p, part in zip(self.parameters, parts, strict=True))

    @contextmanager
    def at(self, weights: Sequence[Tensor]) -> Iterator[None]:
        """Gives the layer other weights, from :meth:`shaped`, within the block.

        The original memory is not written to, so it comes back bit for bit.
        """
        original = [parameter.data for parameter in self.parameters]
        try:
            for parameter, part in zip(self.parameters, weights, strict=True):
                parameter.data = part
            yield
        finally:
            for parameter, data in zip(self.parameters, original, strict=True):
                parameter.data = data


def _laid_out_like(original: Tensor, weights: Tensor) -> Tensor:
    """The weights in the memory layout of those whose place they take: a convolution of another layout is slower."""
    if weights.stride() == original.stride():
        return weights
    return torch.empty_like(original, dtype=weights.dtype).copy_(weights)


def flatten(tensors: Sequence[Tensor]) -> Float[Tensor, " n"]:
    """``tensors`` as one vector; a single contiguous one is not copied."""
    return tensors[0].reshape(-1) if len(tensors) == 1 else torch.cat([tensor.reshape(-1) for tensor in tensors])


def select_layers(model: nn.Module, layers: LayerChoice = "weights") -> tuple[Layer, ...]:
    """The layers of ``model`` that measures are taken of, in the model's order.

    Args:
        model: Any module.
        layers: One of

            * ``"weights"``: the weight of every convolution, linear map, attention projection and embedding, and of
              every other module without modules inside whose ``weight`` is a matrix, one layer a module (21 in a
              ResNet-18). A warning, once a process, names the matrices that are left out;
            * ``"blocks"``: the same weights, grouped by the first numbered container they lie in: ``layer1.0.conv1``
              and ``layer1.0.conv2`` are one layer ``layer1.0``; a weight outside of one stays alone;
            * patterns, such as ``["layer1.*", "fc"]``: the layers of ``"weights"`` whose names fit one of them
              (``fnmatch``); a pattern that fits none is tried on the parameters' full names (``bn1.bias``,
              ``pos_embed``);
            * a mapping, group name → patterns: one layer a group.

    Raises:
        ValueError: If the choice is unknown, a pattern fits nothing, or the model has no such layer.
    """
    named, everything = _weight_layers(model), {_plain(name): p for name, p in model.named_parameters()}
    if not isinstance(layers, str | Mapping | Sequence) or isinstance(layers, bytes):
        raise ValueError(f"`layers` must be 'weights', 'blocks', patterns or a mapping to patterns; got {layers!r}.")
    if layers == "weights":
        chosen = named
    elif layers == "blocks":
        chosen = {}
        for name, parameters in named.items():
            chosen.setdefault(_block(name), []).extend(parameters)
    elif isinstance(layers, str):
        chosen = _matching([layers], named, everything)
    elif isinstance(layers, Mapping):
        chosen = {}
        for group, patterns in layers.items():
            matched = _matching([patterns] if isinstance(patterns, str) else patterns, named, everything)
            chosen[group] = list({id(p): p for p in itertools.chain.from_iterable(matched.values())}.values())
    else:
        chosen = _matching(layers, named, everything)
    if not chosen:
        raise ValueError(
            "The model has no convolution, linear, attention or embedding weight, nor another that is a matrix."
        )
    if layers in ("weights", "blocks"):
        forgotten = tuple(_left_out(model, itertools.chain.from_iterable(chosen.values())))
        if forgotten and forgotten not in _NAMED:
            _NAMED.add(forgotten)
            warnings.warn(
                f"Measures leave out {', '.join(f'`{name}`' for name in forgotten)}: matrices that are not the `weight` of a "
                "module. Name them in `layers` to measure them.",
                stacklevel=3,
            )
    return tuple(Layer(name, tuple(parameters)) for name, parameters in chosen.items())


def _weight_layers(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Module name → its weight; a weight that is tied to an earlier one appears under the earlier name alone."""
    found: dict[str, list[nn.Parameter]] = {}
    seen: set[int] = set()
    for full_name, module in model.named_modules():
        name = _plain(full_name)
        weights = [(attribute, getattr(module, attribute, None)) for attribute in _matrices(module)]
        present = [(attribute, weight) for attribute, weight in weights if weight is not None]
        for attribute, weight in present:
            if isinstance(weight, nn.Parameter) and id(weight) not in seen and weight.numel() > 0:
                seen.add(id(weight))
                found[name if len(present) == 1 else f"{name}.{attribute}".lstrip(".")] = [weight]
    return found


def _plain(name: str) -> str:
    """The name that a module or parameter has where nothing is compiled: ``torch.compile`` puts a module around another."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def _matrices(module: nn.Module) -> tuple[str, ...]:
    """The attributes of ``module`` that hold a layer's matrix.

    Of modules that are not known by their class, such as the ``Conv1D`` of GPT-2, this is the parameter ``weight`` if it
    is a matrix and the module contains no other modules.
    """
    known = next((names for kind, names in _MATRICES if isinstance(module, kind)), None)
    if known is not None:
        return known
    weight = dict(module.named_parameters(recurse=False)).get("weight")
    meant = weight is not None and _is_matrix(weight) and not _is_norm(module) and not any(module.children())
    return ("weight",) if meant else ()


def _is_matrix(parameter: Tensor) -> bool:
    """Whether at least two axes are longer than 1: a vector in a shape for broadcasting is not a matrix."""
    return sum(length > 1 for length in parameter.shape) >= 2


def _is_norm(module: nn.Module) -> bool:
    """Whether it is called a norm, as `LayerNorm` and `BatchNorm2d` are; `NormLinear` is not."""
    return re.search(r"norm(\dd)?$", type(module).__name__.lower()) is not None


def _left_out(model: nn.Module, chosen: Iterable[nn.Parameter]) -> list[str]:
    """Full names of the matrices that no layer has, without what is added or multiplied value by value.

    This can only be guessed, from names and shapes: norm layers, biases, position vectors and whatever has an axis
    of length 1 in front, as it is broadcast over samples.
    """
    taken = {id(parameter) for parameter in chosen}
    return [
        _plain(f"{name}.{own}".lstrip("."))
        for name, module in model.named_modules()
        for own, parameter in module.named_parameters(recurse=False)
        if id(parameter) not in taken
        and _is_matrix(parameter)
        and parameter.shape[0] > 1
        and not _is_norm(module)
        and not any(word in own for word in ("bias", "pos"))
    ]


def _block(name: str) -> str:
    parts = name.split(".")
    numbered = next((index for index, part in enumerate(parts) if part.isdigit()), None)
    return name if numbered is None else ".".join(parts[: numbered + 1])


def _matching(
    patterns: Sequence[str], named: Mapping[str, list[nn.Parameter]], everything: Mapping[str, nn.Parameter]
) -> dict[str, list[nn.Parameter]]:
    """The layers that fit one of ``patterns``, in the model's order; a pattern that fits none is tried on parameters."""
    owner = {id(parameters[0]): name for name, parameters in named.items()}
    chosen: set[int] = set()
    for pattern in patterns:
        fitting = {id(parameters[0]) for name, parameters in named.items() if fnmatchcase(name, pattern)}
        fitting = fitting or {id(parameter) for name, parameter in everything.items() if fnmatchcase(name, pattern)}
        if not fitting:
            raise ValueError(
                f"`layers`: the pattern {pattern!r} fits no layer and no parameter. The layers are {', '.join(named)}; "
                "parameters go by their full names, such as `bn1.bias`."
            )
        chosen |= fitting
    return {owner.get(id(p), name): [p] for name, p in everything.items() if id(p) in chosen}
