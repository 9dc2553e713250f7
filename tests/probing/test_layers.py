"""What counts as a layer."""

from __future__ import annotations

import warnings
from collections.abc import Callable

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


class Conv1D(nn.Module):
    """As in GPT-2: a linear map with its weights transposed, which is neither a Conv nor a Linear."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + self.bias


def test_a_module_of_any_class_whose_weight_is_a_matrix_is_a_layer() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm((4, 4)), Conv1D(4, 3))
    assert names(model) == ["0", "2"]
    # L = mean over x and outputs of x W with x = 1: linear in W, rise = ε‖W‖ ‖∇L‖, ∇L = 1/3 everywhere (12 entries).
    layer = Conv1D(4, 3)
    sal = measure_sal(layer, lambda outputs, _: outputs.mean(), [(torch.ones(1, 4), torch.ones(1))], eps=0.1)
    assert sal.names == ("",)
    assert sal.rise[0] == pytest.approx(0.1 * float(layer.weight.detach().norm()) * 12**0.5 / 3, rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_scripted_modules_have_their_layers() -> None:
    model = nn.Sequential(nn.Linear(4, 8), torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.ReLU())), nn.Linear(8, 3))
    assert names(model) == ["0", "1.0", "2"]
    sal = measure_sal(model, F.cross_entropy, [(torch.rand(6, 4), torch.arange(6) % 3)], steps=2)
    assert (sal.values > 0).all()


def test_matrices_that_are_left_out_are_named_in_one_warning() -> None:
    class Mixture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(3, 4), nn.Linear(4, 2)
            self.experts = nn.Parameter(torch.zeros(5, 4, 4))
            self.pos_embed, self.scale = nn.Parameter(torch.zeros(7, 4)), nn.Parameter(torch.zeros(1, 7, 4))
            self.bias_table, self.gamma = nn.Parameter(torch.zeros(7, 4)), nn.Parameter(torch.zeros(4, 1, 1))

    with pytest.warns(UserWarning, match="leave out") as caught:
        assert names(Mixture()) == ["head"]
    (warning,) = caught
    assert "leave out `experts`, `lstm.weight_ih_l0`, `lstm.weight_hh_l0`: " in str(warning.message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert names(Mixture()) == ["head"]  # named already
        assert names(Mixture(), ["lstm.weight_*", "head"]) == ["lstm.weight_ih_l0", "lstm.weight_hh_l0", "head"]


def test_parameters_that_weights_are_computed_from_are_left_out_with_a_warning() -> None:
    model = seeded_model(ResNet)
    torch.nn.utils.parametrizations.weight_norm(model.fc)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match=r"leave out `fc\.parametrizations\.weight\.original1`: "):
        assert "fc" not in names(model)


@pytest.mark.parametrize("build", [ResNet, MultiHead, Transformer])
def test_ordinary_nets_leave_nothing_out(build: Callable[[], nn.Module]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        select_layers(build())


def test_a_model_without_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="no convolution"):
        select_layers(nn.ReLU())


@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (4, 3, 1, 1), (1, 3, 3, 3)])
def test_a_layer_keeps_its_memory_layout_while_it_has_other_weights(shape: tuple[int, ...]) -> None:
    net = nn.Conv2d(shape[1], shape[0], shape[2]).to(memory_format=torch.channels_last)
    (layer,) = select_layers(net)
    before, strides = net.weight.detach().clone(), net.weight.stride()
    with layer.at(layer.shaped(layer.vector() + 1)):
        assert net.weight.stride() == strides
        assert torch.equal(net.weight.data, before + 1)
    assert torch.equal(net.weight.data, before)


def test_other_layouts_are_kept_too() -> None:
    net = nn.ModuleList([nn.Linear(3, 4), nn.Conv3d(2, 3, 2).to(memory_format=torch.channels_last_3d)])
    net[0].weight.data = torch.randn(3, 4).T
    for layer in select_layers(net):
        (parameter,) = layer.parameters
        strides, shifted = parameter.stride(), parameter.detach() + 1
        with layer.at(layer.shaped(layer.vector() + 1)):
            assert parameter.stride() == strides
            assert torch.equal(parameter.data, shifted)
