"""Victims that start from local weights: what is taken, what is frozen, and what is said of files that do not fit."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests._inputs import seeded
from unlearnable.models.module import TaskModule, multi_task, single_task
from unlearnable.models.pretrained import start_from
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.tasks import Classification, Task

TASKS: dict[str, Task] = {"class": Classification("class", 10)}
backbone = partial(tiny_resnet, width=4, stem_stride=2)
sgd = partial(torch.optim.SGD, lr=0.5, momentum=0.9, weight_decay=0.1)


def net(seed: int, classes: int = 10, **options: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return tiny_resnet(classes, width=4, **options)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(net(1).state_dict(), tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def differing(one: nn.Module, other: nn.Module) -> set[str]:
    theirs = other.state_dict()
    return {name for name, value in one.state_dict().items() if not torch.equal(value, theirs[name])}


def test_all_weights_are_taken(weights: Path, tmp_path: Path) -> None:
    own = net(0)
    assert differing(own, net(1))
    start_from(own, weights)
    assert not differing(own, net(1))
    save_file(net(2).state_dict(), tmp_path / "weights.safetensors")
    start_from(own, tmp_path / "weights.safetensors")
    assert not differing(own, net(2))
    torch.save({"epoch": 3, "state_dict": net(1).state_dict()}, tmp_path / "wrapped.pt")
    start_from(own, tmp_path / "wrapped.pt")
    assert not differing(own, net(1))


def test_a_head_for_other_classes_starts_afresh(weights: Path) -> None:
    own = net(0, classes=7)
    start_from(own, weights)
    head = {"fc.weight", "fc.bias"}
    assert not differing(own, net(0, classes=7)) & head
    for name, value in net(1).state_dict().items():
        assert name in head or torch.equal(value, own.state_dict()[name])


def test_an_encoder_takes_a_backbones_weights(weights: Path) -> None:
    module = multi_task(backbone, TASKS, optimizer=sgd, pretrained=weights)
    for name, value in net(1).state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(module.net.state_dict()[f"encoder.{name}"], value)
    torch.save(module.net.state_dict(), weights)
    again = multi_task(backbone, TASKS, optimizer=sgd, pretrained=weights)
    assert not differing(again.net, module.net)


def step(module: TaskModule) -> None:
    module.log = module.log_dict = lambda *_, **__: None  # type: ignore[assignment]
    optimizer = module.configure_optimizers()
    images, labels = torch.rand(8, 3, 16, 16, generator=seeded(0)), torch.arange(8)
    for batch in range(2):
        optimizer.zero_grad()
        module.training_step((images, labels), batch).backward()
        optimizer.step()


@pytest.mark.parametrize("make", [single_task, multi_task])
def test_a_linear_probe_trains_the_head_and_nothing_else(weights: Path, make: Any) -> None:
    probe = make(backbone, TASKS, optimizer=sgd, pretrained=weights, tune="head")
    before = {name: value.clone() for name, value in probe.net.state_dict().items()}
    step(probe)
    moved = {name for name, value in probe.net.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith(("fc.", "heads."))}
    assert not probe.net.get_submodule("encoder" if make is multi_task else "layer1").training


def test_a_probe_stays_one_when_a_defence_replaces_the_loss(weights: Path) -> None:
    from unlearnable.defenses.adversarial import Adversarial

    probe = single_task(backbone, TASKS, optimizer=sgd, pretrained=weights, tune="head", defense=Adversarial(steps=1))
    step(probe)
    assert torch.equal(probe.net.state_dict()["bn1.running_mean"], net(1).state_dict()["bn1.running_mean"])


def test_tuning_all_moves_all(weights: Path) -> None:
    whole = single_task(backbone, TASKS, optimizer=sgd, pretrained=weights)
    step(whole)
    assert differing(whole.net, net(1)) == set(net(1).state_dict())


def test_weights_of_another_network_are_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"of another network: the file has another shape of conv1.weight.* and \d+ more"
    ):
        start_from(tiny_resnet(10, width=8), weights)
    with pytest.raises(ValueError, match=r"has no 0.weight, 0.bias; has, unlike this network, conv1.weight"):
        start_from(nn.Sequential(nn.Linear(3, 2)), weights)
    torch.save({"fc.weight": torch.zeros(10, 16), "fc.bias": torch.zeros(10)}, tmp_path / "head.pt")
    with pytest.raises(ValueError, match=r"has no conv1.weight"):
        start_from(net(0), tmp_path / "head.pt")


def test_files_that_hold_no_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"`model.pretrained` must name a file with a state dict"):
        start_from(net(0), tmp_path / "nowhere.pt")
    torch.save({"accuracy": 0.9}, tmp_path / "numbers.pt")
    with pytest.raises(ValueError, match="holds no state dict"):
        start_from(net(0), tmp_path / "numbers.pt")
    torch.save(net(0), tmp_path / "module.pt")  # a pickled module would run code
    with pytest.raises(ValueError, match="cannot be read as tensors alone"):
        start_from(net(0), tmp_path / "module.pt")
    (tmp_path / "text.safetensors").write_text("text")
    with pytest.raises(ValueError, match="cannot be read as tensors alone"):
        start_from(net(0), tmp_path / "text.safetensors")


def test_a_probe_needs_weights_and_a_head(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got 'head' without model.pretrained"):
        start_from(net(0), None, tune="head")
    with pytest.raises(ValueError, match=r"`model.tune` must be 'all', or 'head'"):
        start_from(net(0), weights, tune="body")
    chain = nn.Sequential(nn.Linear(3, 2))
    torch.save(chain.state_dict(), tmp_path / "chain.pt")
    with pytest.raises(
        ValueError, match=r"`model.tune` = head needs a network with a part called fc, classifier, head"
    ):
        start_from(chain, tmp_path / "chain.pt", tune="head")
