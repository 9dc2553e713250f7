"""What holds for every defence, found by its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_class, instantiate

from tests._inputs import composed, seeded
from tests._texts import many
from tests.test_configs import options
from unlearnable.data.modality.tokens import Tokens
from unlearnable.data.samples import Samples
from unlearnable.data.vocabulary import PAD, check_tokens
from unlearnable.defenses import Defense, image
from unlearnable.defenses.compose import Compose
from unlearnable.defenses.cutout import Cutout
from unlearnable.defenses.diffusion import Diffusion
from unlearnable.defenses.gray import Gray
from unlearnable.defenses.text import TextDefense
from unlearnable.tasks import Depth

from ._inputs import TASKS, batch, module, purified, training_set

CONFIGS = {name: composed(f"defense={name}").defense for name in options("defense")}
#: Those for images and those for texts; `none` is for both.
FOR_IMAGES, FOR_TEXTS = (
    [name for name, config in CONFIGS.items() if issubclass(get_class(config["_target_"]), kind)]
    for kind in (image.ImageDefense, TextDefense)
)
IMAGES = [name for name in ("none", *FOR_IMAGES, "compose") if name != "diffusion"]  # which needs a model: own tests
#: Those that rewrite the training set, and those that replace the training loss.
PURIFYING = ["gray", "jpeg", "bdr", "gauss", "iss", "orthogonal", "dvae", "compose"]
LOSSES = ["adversarial", "ueraser_max"]
PURIFYING_TEXTS = ["no_signs", "rare_words"]
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
    made = {name: make(name) for name in (*IMAGES, *FOR_TEXTS)}
    assert {name for name, defense in made.items() if defense.purifies} == {*PURIFYING, *PURIFYING_TEXTS}
    assert {name for name in made if type(made[name]).loss is not Defense.loss} == {*LOSSES, "compose"}


def test_every_defence_is_for_images_or_for_texts() -> None:
    assert set(CONFIGS) == {*FOR_IMAGES, *FOR_TEXTS, "none", "compose"}


@pytest.mark.parametrize("name", [*FOR_IMAGES, "compose"])
def test_defences_of_images_refuse_texts_before_any_work(name: str) -> None:
    defense = Diffusion.__new__(Diffusion) if name == "diffusion" else make(name)
    defense.check(training_set())
    with pytest.raises(ValueError, match=r"a defence for images .* the data hold other inputs \(ids, mask\)"):
        defense.check(many())


@pytest.mark.parametrize("name", FOR_TEXTS)
def test_defences_of_texts_refuse_images_before_any_work(name: str) -> None:
    defense = make(name)
    defense.check(many())
    with pytest.raises(ValueError, match="a defence for texts, and the data hold other inputs, such as images"):
        Compose(parts={"a": defense}).check(training_set())


@pytest.mark.parametrize("name", ["none", *FOR_TEXTS])
def test_a_batch_of_texts_depends_on_its_generator_alone(name: str) -> None:
    inputs = Tokens(length=12).to_model(many().inputs)
    given = {key: value.clone() for key, value in inputs.items()}
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(make(name).batch(inputs, torch.zeros(40), generator=seeded(5))[0])
    assert all(torch.equal(found[0][key], found[1][key]) for key in given)
    assert all(torch.equal(inputs[key], value) for key, value in given.items())
    assert torch.equal(found[0]["mask"], given["mask"])
    assert found[0]["ids"].dtype == torch.int64


@pytest.mark.parametrize("name", FOR_TEXTS)
def test_purified_and_test_texts_are_texts_and_their_input_stays(name: str, tmp_path: Path) -> None:
    train, defense = many(), make(name)
    before = train.fingerprint
    found = purified(defense, train, tmp_path)
    assert Samples(train.inputs, train.targets, train.tasks, train.vocabulary).fingerprint == before
    check_tokens(found.inputs, train.vocabulary)  # raises where a text has no words
    assert torch.equal(found.inputs["mask"], found.inputs["ids"] != PAD)
    assert found.inputs["ids"].dtype == torch.int32
    # What purified texts lost, test texts lose: at test time training texts are as they were trained on.
    at_test = defense.fitted(found).at_test(Tokens(length=12).to_model(train.inputs))
    assert torch.equal(at_test["ids"], Tokens(length=12).to_model(found.inputs)["ids"][:, : at_test["ids"].shape[1]])


@pytest.mark.parametrize("name", IMAGES)
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


@pytest.mark.parametrize("name", PURIFYING_TEXTS)
def test_changing_test_texts_refuses_targets_that_may_be_made_of_them(name: str) -> None:
    with pytest.raises(ValueError, match="changes test texts too, and the targets of depth may be made of their words"):
        make(name).setup({"depth": Depth("depth", 1)})


@pytest.mark.parametrize("name", ["ueraser", "ueraser_max"])
def test_moving_images_refuses_targets_on_the_pixels(name: str) -> None:
    with pytest.raises(ValueError, match="not the targets of depth, which lie on the pixels"):
        make(name).setup({**TASKS, "depth": Depth("depth", 1)})


@pytest.mark.parametrize("name", ["orthogonal", "dvae"])
def test_what_goes_by_classes_refuses_data_without(name: str) -> None:
    with pytest.raises(ValueError, match="no class task"):
        make(name).setup({"depth": Depth("depth", 1)})


def test_defences_of_images_say_so_of_other_inputs(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"for images .* other inputs \(ids\)"):
        Cutout().batch(TOKENS, torch.zeros(4), generator=seeded(0))
    with pytest.raises(TypeError, match=r"for images .* shape \(4, 8\)"):
        Gray(test=True).at_test(torch.zeros(4, 8))
