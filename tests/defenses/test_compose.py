from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate

from tests._inputs import composed, seeded
from unlearnable.defenses.adversarial import Adversarial
from unlearnable.defenses.bdr import BitDepthReduction
from unlearnable.defenses.compose import Compose
from unlearnable.defenses.cutout import Cutout
from unlearnable.defenses.gray import Gray
from unlearnable.defenses.jpeg import Jpeg
from unlearnable.defenses.mixup import MixUp
from unlearnable.defenses.no_signs import NoSigns
from unlearnable.defenses.rare_words import RareWords

from ._inputs import TASKS, batch, module, purified, training_set


def test_each_hook_goes_through_all_parts_in_the_order_of_their_names(tmp_path: Path) -> None:
    both = Compose(parts={"b": Jpeg(test=True), "a": Gray(test=True)})
    train = training_set()
    expected = Jpeg().squeeze(Gray().squeeze(train.inputs))
    assert torch.equal(purified(both, train, tmp_path).inputs, expected)
    assert torch.equal((both.at_test(train.inputs.float() / 255) * 255).round().byte(), expected)


def test_batches_are_changed_by_one_part_after_the_other() -> None:
    images, labels = batch()
    both = Compose(parts={"a": Cutout(), "b": MixUp()})
    both.setup(TASKS)
    found = both.batch(images, labels, generator=seeded(0))
    generator, mixup = seeded(0), MixUp()
    mixup.setup(TASKS)
    expected = mixup.batch(*Cutout().batch(images, labels, generator=generator), generator=generator)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_one_part_may_replace_the_loss() -> None:
    attack = Adversarial(steps=1)
    both = Compose(parts={"a": BitDepthReduction(), "b": attack})
    one: Any = module()
    found = both.loss(one, batch(), generator=seeded(0))
    assert torch.equal(found, attack.loss(one, batch(), generator=seeded(0)))
    assert Compose(parts={"a": Gray()}).loss(one, batch(), generator=seeded(0)) is None
    with pytest.raises(ValueError, match="at most one replaces the training loss; got a: Adversarial, b: Adversarial"):
        Compose(parts={"a": attack, "b": attack})


def test_it_purifies_if_a_part_does() -> None:
    assert Compose(parts={"a": Cutout(), "b": Gray()}).purifies
    assert not Compose(parts={"a": Cutout()}).purifies


def test_parts_are_chosen_on_the_command_line() -> None:
    defense = instantiate(
        composed("defense=compose", "defense@defense.parts.b=mixup", "+defense@defense.parts.c=jpeg").defense
    )
    assert [type(part) for part in defense.parts.values()] == [Gray, MixUp, Jpeg]


def test_nothing_changes_the_training_set_after_a_part_that_learns_from_it() -> None:
    parts = {"a": RareWords(), "b": NoSigns()}
    with pytest.raises(ValueError, match=r"a does to test inputs what it learns.*as b does"):
        Compose(parts=parts)
    assert Compose(parts={"a": parts["b"], "b": parts["a"]}).learns
