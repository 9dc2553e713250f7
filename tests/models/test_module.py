"""The module for one task or many: what it trains, logs and shows to measures, and what defences do in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Generator, Tensor, nn
from typing_extensions import override

from tests._inputs import seeded
from unlearnable.data.batches import Batches
from unlearnable.data.digits import Digits
from unlearnable.data.modality.pixels import Pixels
from unlearnable.data.samples import Inputs, Samples, Targets
from unlearnable.defenses import Defense
from unlearnable.measures.sal import measure_sal
from unlearnable.models.module import JOINT, TaskModule, multi_task, single_task
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.tasks import Classification, Depth, Normals

NAN = float("nan")
TASKS = {
    "class_scene": Classification("class_scene", 3),
    "depth_euclidean": Depth("depth_euclidean", 1),
    "normal": Normals("normal", 3),
}
sgd = partial(torch.optim.SGD, lr=0.1)
backbone = partial(tiny_resnet, width=4, stem_stride=2)


def data(count: int = 12, size: int = 16) -> Samples:
    generator = seeded(0)
    images = torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)
    depth = 1 + torch.rand(count, 1, size, size, generator=generator)
    depth[0] = NAN
    normal = nn.functional.normalize(torch.randn(count, 3, size, size, generator=generator), dim=1)
    targets = {"class_scene": torch.arange(count) % 3, "depth_euclidean": depth, "normal": normal}
    return Samples(images, targets, TASKS)


def module(seed: int = 0, **options: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return multi_task(backbone, TASKS, optimizer=sgd, head_width=4, **options)


# --- what it trains and logs ---


def train(one: TaskModule, source: Digits, epochs: int = 1) -> Mapping[str, float]:
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(one, datamodule=source)
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


class Source(Digits):
    """The samples with several tasks, in the place of digits."""

    def load(self) -> tuple[Samples, Samples]:
        return data(), data()


def digits() -> Digits:
    return Digits(subset=60, test_subset=30, batch_size=32)


def one_task(**options: Any) -> TaskModule:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return single_task(backbone, digits().tasks, optimizer=sgd, **options)


def test_one_task_logs_under_plain_names() -> None:
    found = train(one_task(), digits())
    assert found.keys() == {"train/loss", "train/acc", "test/acc"}
    assert 0 <= found["train/acc"] <= 1


def test_several_tasks_log_under_their_names() -> None:
    found = train(module(), Source(batch_size=6))
    assert found.keys() == {
        *("train/loss", "train/class_scene/acc", *(f"train/{task}/loss" for task in TASKS)),
        *("test/class_scene/acc", "test/depth_euclidean/rmse", "test/depth_euclidean/abs_rel"),
        *("test/depth_euclidean/delta1", "test/normal/mean_angle", "test/normal/within_11"),
    }
    assert found["train/loss"] == pytest.approx(sum(found[f"train/{task}/loss"] for task in TASKS), rel=1e-5)


def test_the_figures_of_an_epoch_are_those_of_its_samples() -> None:
    frozen = one_task()
    frozen.optimizer = partial(torch.optim.SGD, lr=0.0)
    for layer in frozen.net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.0  # and test mode has the first statistics
    source = digits()
    found = train(frozen, source)
    frozen.eval()
    inputs, labels = next(iter(Batches(source.test, Pixels(), 30)))
    assert found["test/acc"] == pytest.approx(float((frozen(inputs).argmax(1) == labels).float().mean()))


def test_a_seed_makes_the_backbones_own_weights() -> None:
    torch.manual_seed(0)
    expected = backbone(10)
    for name, value in one_task().net.state_dict().items():
        assert torch.equal(value, expected.state_dict()[name])


def test_one_of_several_tasks_keeps_plain_names() -> None:
    found = train(module(tasks=["class_scene"]), Source(batch_size=6))
    assert found.keys() == {"train/loss", "train/acc", "test/acc"}


# --- defences ---


class Everything(Defense):
    """Records what each hook is given, and answers with something that can be recognised."""

    def __init__(self, replaced: bool = False) -> None:
        self.replaced = replaced
        self.draws: list[float] = []
        self.tested = 0

    @override
    def batch(self, inputs: Inputs, targets: Targets, *, generator: Generator) -> tuple[Inputs, Targets]:
        self.draws.append(torch.rand(1, generator=generator).item())
        assert isinstance(inputs, Tensor)
        return torch.zeros_like(inputs), torch.zeros_like(targets)  # type: ignore[arg-type]

    @override
    def loss(self, module: LightningModule, batch: tuple[Any, Any], *, generator: Generator) -> Tensor | None:
        inputs, targets = batch
        assert inputs.abs().max() == 0 == targets.max()  # what `batch` returned
        return module(inputs).square().sum() * 0 + 7 if self.replaced else None

    @override
    def at_test(self, inputs: Inputs) -> Inputs:
        self.tested += 1
        return inputs


def test_a_defence_changes_batches_and_test_inputs() -> None:
    defense = Everything()
    found = train(one_task(defense=defense), digits(), epochs=2)
    assert found["train/acc"] > 0.9  # all labels are 0 now, and soon learnt
    assert len(set(defense.draws)) == 4  # two batches in each of two epochs, each with its own stream
    assert defense.tested == 2
    again = Everything()
    train(one_task(defense=again), digits(), epochs=2)
    assert again.draws == defense.draws
    other = Everything()
    train(one_task(defense=other, seed=1), digits(), epochs=1)
    assert other.draws[0] != defense.draws[0]


def test_a_defences_loss_takes_the_place_of_the_modules_own() -> None:
    one = one_task(defense=Everything(replaced=True))
    before = {name: value.clone() for name, value in one.net.named_parameters()}
    found = train(one, digits())
    assert found["train/loss"] == 7
    assert found.keys() == {"train/loss", "train/acc", "test/acc"}
    assert all(torch.equal(value, before[name]) for name, value in one.net.named_parameters())


def test_an_aggregator_needs_the_tasks_own_losses() -> None:
    one = module(aggregator="mean")
    one.defense.loss = lambda *_, **__: torch.tensor(7.0)
    batch = next(iter(Batches(data(), Pixels(), 12)))
    with pytest.raises(ValueError, match="which this defence replaces"):
        one.training_step(batch, 0)


# --- tasks together ---


def test_aggregation_reaches_the_encoder_and_leaves_heads_their_own_gradient() -> None:
    images, targets = next(iter(Batches(data(), Pixels(), 12)))
    mean, plain = module(aggregator="mean"), module()
    for one in (mean, plain):
        one.log = one.log_dict = lambda *_, **__: None
        one.backward(one.training_step((images, targets), 0))
    for (name, parameter), (_, summed) in zip(mean.net.named_parameters(), plain.net.named_parameters(), strict=True):
        factor = 3 if name.startswith("encoder.") else 1  # the mean of three tasks' gradients, not their sum
        torch.testing.assert_close(factor * parameter.grad, summed.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["class_scene", "sofa"]}, "`task.tasks` names sofa; the data have class_scene"),
        ({"tasks": []}, "at least one task"),
        ({"weighting": "gradnorm"}, "one of equal, uncertainty, dwa"),
        ({"aggregator": "sumgrad"}, "one of upgrad"),
        ({"aggregator": "mean", "weighting": "dwa"}, "needs task.weighting=equal"),
        ({"head_width": 0}, "`task.head_width` must be a number of channels, at least 1; got 0"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        multi_task(backbone, TASKS, optimizer=sgd, **options)


def test_single_task_refuses_several_tasks_and_says_what_does() -> None:
    with pytest.raises(ValueError, match=r"Use task=multi, with task.tasks=\[class_scene\]"):
        single_task(backbone, TASKS, optimizer=sgd)


# --- SAL a task ---


def sal_of(net: nn.Module, loss: Any, batches: Any) -> Mapping[str, float]:
    sal = measure_sal(net, loss, batches, eps=0.05, steps=4)
    return dict(zip(sal.names, sal.values.tolist(), strict=True))


def test_sal_of_a_task_equals_measure_sal_of_the_whole_net_with_its_loss() -> None:
    one = module()
    batches = Batches(data(), Pixels(), 6)
    for task, part in one.task_nets.items():
        whole = sal_of(one.net, one.loss_functions[task], batches)
        own = sal_of(part, one.loss_functions[task], batches)
        assert own.keys() == {name for name in whole if f"heads.{task}" in name or name.startswith("encoder.")}
        np.testing.assert_allclose([own[name] for name in own], [whole[name] for name in own], rtol=1e-4, atol=1e-7)
        others = [value for name, value in whole.items() if name not in own]
        np.testing.assert_allclose(others, 0, atol=1e-6)  # another task's head cannot change this loss


def test_a_heads_sal_does_not_depend_on_other_heads() -> None:
    one = module()
    batches = Batches(data(), Pixels(), 6)
    before = sal_of(one.task_nets["normal"], one.loss_functions["normal"], batches)
    with torch.no_grad():
        for parameter in one.net.heads["depth_euclidean"].parameters():
            parameter.mul_(3)
    assert sal_of(one.task_nets["normal"], one.loss_functions["normal"], batches) == before


def test_the_joint_loss_is_the_sum() -> None:
    one = module().eval()
    images, targets = next(iter(Batches(data(), Pixels(), 12)))
    outputs = one.net(images)
    parts = [loss(outputs, targets) for task, loss in one.loss_functions.items() if task != JOINT]
    torch.testing.assert_close(one.loss_functions[JOINT](outputs, targets), sum(parts))
    assert JOINT not in module(tasks=["normal"]).loss_functions
