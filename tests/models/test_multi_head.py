"""Encoders made of backbones, and heads over them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from tests._inputs import composed, seeded
from unlearnable.models.multi_head import feature_map, make_encoder, make_multi_task_net
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.models.torchvision_nets import resnet18
from unlearnable.tasks import Classification, Depth, Normals
from unlearnable.tasks.heads import DenseHead

TASKS = {
    "class_scene": Classification("class_scene", 3),
    "depth_euclidean": Depth("depth_euclidean", 1),
    "normal": Normals("normal", 3),
}
backbone = partial(tiny_resnet, width=4, stem_stride=2)


def test_layers_are_named_after_encoder_and_heads() -> None:
    net = make_multi_task_net(backbone, TASKS, width=4)
    layers = {name.removesuffix(".weight") for name, p in net.named_parameters() if p.ndim > 1}
    assert {"encoder.conv1", "encoder.layer1.0.conv1", "heads.class_scene.fc", "heads.normal.predict"} <= layers
    assert not any(name.startswith("encoder.fc") for name in layers)


@pytest.mark.parametrize("size", [16, 18, 32])
def test_predictions_have_the_pictures_size(size: int) -> None:
    net = make_multi_task_net(backbone, TASKS, width=4).eval()
    outputs = net(torch.rand(2, 3, size, size))
    assert {name: tuple(output.shape) for name, output in outputs.items()} == {
        "class_scene": (2, 3),
        "depth_euclidean": (2, 1, size, size),
        "normal": (2, 3, size, size),
    }


def test_a_residual_network_of_torchvision_becomes_its_own_encoder() -> None:
    torch.manual_seed(0)
    net = resnet18(5).eval()
    images = torch.rand(2, 3, 32, 32, generator=seeded(0))
    with torch.no_grad():
        scores = net(images)
        encoder: Any = make_encoder(net).eval()
        features = encoder.forward_features(images)
        torch.testing.assert_close(net.fc(features.mean((2, 3))), scores)
    assert "layer1.0.conv1.weight" in dict(encoder.named_parameters())


@pytest.mark.parametrize(
    ("name", "layer"),
    [("resnet50", "layer4.0.conv1"), ("mobilenet_v2", "features.1"), ("densenet121", "features.conv0")],
)
def test_torchvisions_networks_are_encoders_under_their_own_names(name: str, layer: str) -> None:
    net = make_multi_task_net(
        instantiate(composed(f"model={name}").model.net), {"normal": TASKS["normal"]}, width=4
    ).eval()
    assert any(parameter.startswith(f"encoder.{layer}") for parameter, _ in net.named_parameters())
    with torch.no_grad():
        assert net(torch.rand(1, 3, 32, 32))["normal"].shape == (1, 3, 32, 32)


def test_a_transformers_tokens_go_back_to_their_places() -> None:
    class Tokens(nn.Module):
        num_prefix_tokens = 1

        def forward_features(self, images: Tensor) -> Tensor:
            patches = nn.functional.avg_pool2d(images, 16).flatten(2).transpose(1, 2)
            return torch.cat([torch.full_like(patches[:, :1], 9.0), patches], dim=1)

    images = torch.rand(2, 3, 64, 64, generator=seeded(0))
    torch.testing.assert_close(feature_map(Tokens(), images), nn.functional.avg_pool2d(images, 16))


def test_networks_without_a_feature_map_are_refused() -> None:
    with pytest.raises(ValueError, match="forward_features"):
        make_encoder(nn.Sequential(nn.Flatten(), nn.Linear(3, 3)))


def test_dense_heads_double_the_resolution_in_each_stage() -> None:
    head = DenseHead(6, 5, stages=3, width=4)
    assert head(torch.rand(1, 6, 2, 3)).shape == (1, 5, 16, 24)


@pytest.mark.parametrize("size", [18, 32])
def test_skips_take_what_is_finer_than_the_last_map_to_dense_heads(size: int) -> None:
    torch.manual_seed(0)
    net = make_multi_task_net(backbone, TASKS, width=4, skips=True).eval()
    images = torch.rand(2, 3, size, size, generator=seeded(0))
    with torch.no_grad():
        last, *finer = net.features(images)
        before = net(images)
        after = net.predict([last, *(torch.zeros_like(one) for one in finer)], images.shape[-2:])
    torch.testing.assert_close(before["class_scene"], after["class_scene"])
    assert before["normal"].shape == (2, 3, size, size)
    assert (before["normal"] - after["normal"]).abs().max() > 1e-3
    # Of 32 pixels: 4, 8 and 16, with four, two and one times the width of 4.
    if size == 32:
        assert [tuple(one.shape[1:]) for one in (last, *finer)] == [(16, 4, 4), (8, 8, 8), (4, 16, 16)]
    assert set(net.for_task("normal").heads) == {"normal"}
    torch.testing.assert_close(net.for_task("normal").eval()(images)["normal"], before["normal"])


def test_a_doubling_adds_the_projected_skip() -> None:
    head = DenseHead(2, 1, stages=2, width=3, skips=[5]).eval()
    plain = DenseHead(2, 1, stages=2, width=3).eval()
    plain.load_state_dict(head.state_dict(), strict=False)
    features, finer = torch.rand(1, 2, 2, 2, generator=seeded(0)), torch.rand(1, 5, 4, 4, generator=seeded(1))
    stage, skip = head.stages[0], head.stages[0].skip
    with torch.no_grad():
        doubled = stage.bn(stage.shuffle(stage.conv(features)))
        expected = torch.relu(doubled + skip(finer))
        torch.testing.assert_close(head(features, [finer]), head.shuffle(head.predict(expected)))
        torch.testing.assert_close(plain(features), head.shuffle(head.predict(torch.relu(doubled))))


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v2"])
def test_torchvisions_networks_have_skips(name: str) -> None:
    net = make_multi_task_net(
        instantiate(composed(f"model={name}").model.net), {"normal": TASKS["normal"]}, width=4, skips=True
    ).eval()
    with torch.no_grad():
        last, *finer = net.features(torch.rand(1, 3, 32, 32))
        assert [one.shape[-1] for one in finer] == [last.shape[-1] * 2**k for k in range(1, len(finer) + 1)]
        assert len(finer) >= 2
        assert net(torch.rand(1, 3, 32, 32))["normal"].shape == (1, 3, 32, 32)


def test_skips_need_the_maps_of_stages() -> None:
    class Plain(nn.Module):
        def forward_features(self, images: Tensor) -> Tensor:
            return nn.functional.avg_pool2d(images, 16)

    with pytest.raises(ValueError, match=r"`task\.skips` needs .* Plain does not give"):
        make_multi_task_net(lambda classes: Plain(), TASKS, skips=True)


def test_a_network_that_takes_one_size_alone_is_asked_for_it() -> None:
    class Fixed(nn.Module):
        img_size = (16, 16)

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 5, 4, 4)

        def forward_features(self, images: torch.Tensor) -> torch.Tensor:
            assert images.shape[-2:] == (16, 16)
            return self.conv(images)

    net = make_multi_task_net(lambda _: Fixed(), {"depth": Depth("depth", 1)}, width=4)
    assert net(torch.rand(2, 3, 16, 16))["depth"].shape == (2, 1, 16, 16)


def test_the_widths_of_heads_are_checked() -> None:
    with pytest.raises(ValueError, match="head_width"):
        make_multi_task_net(backbone, TASKS, width=0)
