"""What counts as a layer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.probing._models import MultiHead, ResNet, Transformer, images, seeded_model
from unlearnable.measures.sal import measure_sal
from unlearnable.probing.layers import select_layers


def names(model: nn.Module, layers: object = "weights") -> list[str]:
    return [layer.name for layer in select_layers(model, layers)]  # type: ignore[arg-type]


def test_weights_are_convolutions_and_linear_maps_in_the_models_order() -> None:
    blocks = ["layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "layer1.1.conv2"]
    assert names(ResNet()) == ["conv1", *blocks, "fc"]
    assert names(MultiHead()) == ["conv1", *blocks, "fc", "depth"]


def test_resnet18_has_the_published_21_layers() -> None:
    models = pytest.importorskip("torchvision.models")
    assert len(names(models.resnet18(num_classes=10))) == 21


def test_transformers_have_their_attention_and_embeddings() -> None:
    attention = ["blocks.layers.0.self_attn", "blocks.layers.0.self_attn.out_proj"]
    assert names(Transformer()) == ["patch", *attention, "blocks.layers.0.linear1", "blocks.layers.0.linear2", "head"]
    text = nn.ModuleDict({"embed": nn.Embedding(5, 4), "attention": nn.MultiheadAttention(4, 2, kdim=3, vdim=3)})
    split = [f"attention.{part}_proj_weight" for part in "qkv"]
    assert names(text) == ["embed", *split, "attention.out_proj"]


def test_blocks_group_by_numbered_container() -> None:
    assert names(ResNet(), "blocks") == ["conv1", "layer1.0", "layer1.1", "fc"]
    block = select_layers(ResNet(width=6), "blocks")[1]
    assert block.size == 2 * 6 * 6 * 9


def test_patterns_fit_layers_first_and_parameters_where_none_does() -> None:
    assert names(ResNet(), ["layer1.0.*", "fc"]) == ["layer1.0.conv1", "layer1.0.conv2", "fc"]
    assert names(ResNet(), "bn1.*") == ["bn1.weight", "bn1.bias"]
    assert names(Transformer(), ["position", "head"]) == ["position", "head"]
    assert names(ResNet(), {"stem": ["conv1", "bn1.weight"], "rest": ["layer1.*", "fc"]}) == ["stem", "rest"]


def test_tied_weights_are_one_layer_and_move_together() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x))

    model = seeded_model(Tied)
    nn.init.eye_(model.a.weight)  # type: ignore[union-attr, arg-type]
    assert names(model) == ["a"]
    # L = mean of W²x over x = 1: with W = (1 + t)·I, in the ball for t ≤ 0.1, it is (1 + t)². Moved singly: 1 + t.
    sal = measure_sal(model, lambda outputs, _: outputs.mean(), [(torch.ones(1, 4), torch.ones(1))], eps=0.1)
    assert sal.rise[0] >= 1.1**2 - 1 - 1e-5


def test_frozen_weights_are_measured() -> None:
    model = seeded_model(ResNet).requires_grad_(False)
    sal = measure_sal(model, F.cross_entropy, [images()], steps=2)
    assert (sal.values > 0).all()


def test_computed_weights_are_left_out_with_a_warning() -> None:
    model = seeded_model(ResNet)
    torch.nn.utils.parametrizations.weight_norm(model.fc)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="leaves out `fc.weight`"):
        assert "fc" not in names(model)


def test_a_model_without_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="no convolution"):
        select_layers(nn.ReLU())
