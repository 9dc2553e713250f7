"""What holds for every defence, found by its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate

from tests._inputs import composed, seeded
from tests.test_configs import options
from unlearnable.defenses import Defense, image
from unlearnable.defenses.cutout import Cutout
from unlearnable.defenses.gray import Gray
from unlearnable.tasks import Depth

from ._inputs import TASKS, batch, module, purified, training_set

NAMES = [name for name in options("defense") if name != "diffusion"]  # which needs a model, and has its own tests
#: Those that rewrite the training set, and those that replace the training loss.
PURIFYING = ["gray", "jpeg", "bdr", "gauss", "iss", "orthogonal", "dvae", "compose"]
LOSSES = ["adversarial", "ueraser_max"]
TOKENS = {"ids": torch.zeros(4, 8, dtype=torch.int64)}


def make(name: str) -> Defense:
    """The defence by its own configuration, cheaper where it is not cheap."""
    config = composed(f"defense={name}").defense
    if name == "dvae":
        config.update(epochs=2, width=4, batch_size=8)
    made: Any = instantiate(config)
    made.setup(TASKS)
    return made


def test_every_configuration_says_which_hooks_it_has() -> None:
    made = {name: make(name) for name in NAMES}
    assert {name for name, defense in made.items() if defense.purifies} == set(PURIFYING)
    assert {name for name in NAMES if type(made[name]).loss is not Defense.loss} == {*LOSSES, "compose"}


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_depends_on_its_generator_alone(name: str) -> None:
    """A resumed run has the same generators and other global ones: it must see the same augmentation."""
    defense, again = make(name), make(name)
    images, labels = batch()
    given = images.clone()
    torch.manual_seed(1)
    first = defense.batch(images, labels, generator=seeded(5))
    defense.batch(images, labels, generator=seeded(6))
    before = torch.manual_seed(2).get_state()
    second = again.batch(images, labels, generator=seeded(5))
    assert torch.equal(torch.get_rng_state(), before)  # the global generators are left as they were
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert torch.equal(images, given)
    assert first[0].shape == images.shape
    assert first[0].dtype == images.dtype
    assert first[0].min() >= 0
    assert first[0].max() <= 1 + 1e-6


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_depends_on_its_generator_alone(name: str) -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(make(name).loss(module(), batch(), generator=seeded(5)))
    assert found[0] is None or torch.equal(found[0], found[1])


@pytest.mark.parametrize("name", PURIFYING)
def test_purifying_is_repeatable_goes_on_where_it_stopped_and_leaves_its_input(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = training_set()
    given = train.inputs.clone()
    whole = purified(make(name), train, tmp_path / "whole")
    assert torch.equal(train.inputs, given)
    assert whole.inputs.dtype == torch.uint8
    assert not torch.equal(whole.inputs, given)
    assert torch.equal(whole.targets, train.targets)

    def interrupted(file: Path, reached: int) -> None:
        file.write_text(str(reached))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(image, "_note", interrupted)  # once the first images are written
        with pytest.raises(KeyboardInterrupt):
            purified(make(name), train, tmp_path / "parts")
    torch.manual_seed(3)
    assert torch.equal(purified(make(name), train, tmp_path / "parts").inputs, whole.inputs)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixing_targets_refuses_tasks_that_are_no_classes(name: str) -> None:
    with pytest.raises(ValueError, match=r"a meaning for classes alone.* depth \(depth\)"):
        make(name).setup({**TASKS, "depth": Depth("depth", 1)})


@pytest.mark.parametrize("name", ["ueraser", "ueraser_max"])
def test_moving_images_refuses_targets_on_the_pixels(name: str) -> None:
    with pytest.raises(ValueError, match="not the targets of depth, which lie on the pixels"):
        make(name).setup({**TASKS, "depth": Depth("depth", 1)})


@pytest.mark.parametrize("name", ["orthogonal", "dvae"])
def test_what_goes_by_classes_refuses_data_without(name: str) -> None:
    with pytest.raises(ValueError, match="no class task"):
        make(name).setup({"depth": Depth("depth", 1)})


def test_defences_of_images_say_so_of_other_inputs(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"for images .* inputs named ids"):
        Cutout().batch(TOKENS, torch.zeros(4), generator=seeded(0))
    with pytest.raises(TypeError, match=r"for images .* shape \(4, 8\)"):
        Gray(test=True).at_test(torch.zeros(4, 8))
