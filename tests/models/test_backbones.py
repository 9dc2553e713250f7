from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from tests._inputs import ROOT, composed, seeded
from unlearnable.data.digits import Digits
from unlearnable.measures.sal import measure_sal
from unlearnable.models.module import single_task
from unlearnable.models.timm_nets import timm_model
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.models.torchvision_nets import resnet18
from unlearnable.probing.layers import select_layers

NAMES = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
#: Those that take images.
OF_IMAGES = [name for name in NAMES if name not in ("hf", "tiny_gpt", "tiny_transformer")]
#: Convolution and linear weights (attention's in-projections with them) of each architecture.
LAYERS = {
    "densenet121": 121,
    "mobilenet_v2": 53,
    "resnet18": 21,
    "resnet50": 54,
    "senet18": 21 + 16,  # and two 1×1 convolutions for each of eight squeeze-and-excitation blocks
    "tiny_resnet": 10,
    "vit_small": 1 + 12 * 4 + 1,  # patches; qkv, projection and two of the MLP for each block; head
    "vit_tiny": 1 + 6 * 4 + 1,
}


def configured(name: str) -> DictConfig:
    return composed("experiment=smoke", f"model={name}", *(["model.name=resnet10t"] if name == "timm" else [])).model


def build(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return instantiate(configured(name).net)(10)


@pytest.mark.parametrize("name", NAMES)
def test_every_model_brings_its_optimizer_and_schedule(name: str) -> None:
    model = configured(name)
    optimizer = instantiate(model.optimizer)([nn.Parameter(torch.ones(1))])
    if model.scheduler is not None:
        instantiate(model.scheduler)(optimizer)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_every_model_maps_small_images_to_class_scores_and_has_sal_layers(name: str) -> None:
    net = build(name).eval()
    assert net(torch.rand(2, 3, 32, 32, generator=seeded(0))).shape == (2, 10)
    names = [layer.name for layer in select_layers(net)]
    modules = dict(net.named_modules())
    assert all(layer in modules for layer in names)
    if name in LAYERS:
        assert len(names) == LAYERS[name]


@pytest.mark.parametrize("name", ["mobilenet_v2", "senet18", "vit_small"])
def test_sal_is_measured_on_other_architectures(name: str) -> None:
    net = build(name)
    batches = [(torch.rand(4, 3, 32, 32, generator=seeded(1)), torch.tensor([0, 1, 2, 3]))]
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the statistics of one batch, without which activations of a fresh net vanish
    net.train()(batches[0][0])
    last = [layer.name for layer in select_layers(net)][-1]
    nn.init.normal_(net.get_submodule(last).weight, std=0.1, generator=seeded(2))  # ViT's head starts at zero
    sal = measure_sal(net, nn.functional.cross_entropy, batches, steps=1, layers=[last])
    assert sal.names == (last,)
    assert sal.values[0] > 0


@pytest.mark.parametrize("name", OF_IMAGES)
def test_every_model_takes_a_step_on_the_smoke_protocols_images(name: str) -> None:
    source = Digits(subset=8, test_subset=8, batch_size=8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        one = single_task(
            instantiate(configured(name).net), source.tasks, optimizer=instantiate(configured(name).optimizer)
        )
    source.check(one.net)
    one.log = lambda *_, **__: None
    images, labels = next(iter(source.probe(8, batch_size=8)))
    one.training_step((images, labels), 0).backward()
    gradients = [parameter.grad for parameter in one.net.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_pytorchs_own_initialisation_is_an_option() -> None:
    torch.manual_seed(0)
    published, theirs = resnet18(10, init="torch"), resnet18(10)
    for name in ("conv1", "layer3.0.conv2"):
        ours, other = published.get_submodule(name).weight, theirs.get_submodule(name).weight
        fan_in = ours[0].numel()
        assert ours.abs().max() <= fan_in**-0.5  # uniform within ±1/√fan-in
        assert ours.std().item() == pytest.approx((3 * fan_in) ** -0.5, rel=0.05)
        assert other.std().item() == pytest.approx((2 / (other.shape[0] * 9)) ** 0.5, rel=0.05)  # normal, by fan-out
    with pytest.raises(ValueError, match="`init` must be 'torch' or 'torchvision'; got 'keras'"):
        resnet18(10, init="keras")


def test_the_cifar_stem_keeps_the_resolution() -> None:
    sizes: list[int] = []
    net = resnet18(10).eval()
    net.layer1.register_forward_hook(lambda _module, inputs, _output: sizes.append(inputs[0].shape[-1]))
    net(torch.rand(1, 3, 32, 32))
    assert sizes == [32]  # torchvision's own stem makes 8 of it


def test_digits_sized_images_fit_the_default() -> None:
    assert tiny_resnet(10)(torch.rand(2, 3, 16, 16)).shape == (2, 10)


def test_an_unknown_timm_model_lists_similar_ones() -> None:
    with pytest.raises(ValueError, match=r"no model 'resnet18x'; similar: .*resnet18"):
        timm_model(10, name="resnet18x")


def test_an_unknown_stem_is_refused() -> None:
    with pytest.raises(ValueError, match="'cifar' or 'imagenet'; got 'big'"):
        resnet18(10, stem="big")


def test_no_model_reads_weights_from_the_network() -> None:
    for file in Path(ROOT, "src", "unlearnable", "models").glob("*.py"):
        assert "pretrained=True" not in file.read_text()
