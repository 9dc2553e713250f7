"""Properties that all poisons of texts share; the methods are found by their configurations."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests._texts import many
from unlearnable.data.modality.tokens import changed_words
from unlearnable.data.samples import Samples
from unlearnable.data.vocabulary import PAD
from unlearnable.models.tiny_transformer import TinyTransformer
from unlearnable.poisons.base import Poison

from ._inputs import image_set
from ._methods import arguments, build, for_images, for_texts


def make(name: str, **changes: Any) -> Poison:
    """The method, with a small transformer where it needs a network."""
    if "surrogate" in arguments(name):
        changes["surrogate"] = lambda classes, **sizes: TinyTransformer(classes, width=8, heads=2, depth=1, **sizes)
    return build(name, **changes)


def test_every_configuration_is_found() -> None:
    assert set(for_texts()) == {"em_text", "random_words", "regtext", "symbol"}


@pytest.mark.parametrize("name", for_texts())
def test_keeps_labels_vocabulary_and_its_input_and_changes_texts(name: str) -> None:
    clean = many()
    before = clean.inputs["ids"].clone()
    poisoned = make(name).apply(clean, seed=0)
    assert torch.equal(clean.inputs["ids"], before)
    assert torch.equal(poisoned.labels, clean.labels)
    assert (poisoned.vocabulary, poisoned.tasks) == (clean.vocabulary, clean.tasks)
    assert (changed_words(clean, poisoned)[0] > 0).float().mean() > 0.5  # a word may be drawn that stands there


@pytest.mark.parametrize("name", for_texts())
def test_ids_are_words_and_padding_comes_last(name: str) -> None:
    clean = many()
    ids, mask = (make(name).apply(clean, seed=0).inputs[key] for key in ("ids", "mask"))
    assert ids.dtype == torch.int32
    assert ((ids >= 0) & (ids < len(clean.vocabulary))).all()
    assert torch.equal(mask, ids != PAD)
    assert (mask[:, :-1] | ~mask[:, 1:]).all()


@pytest.mark.parametrize("name", for_texts())
def test_same_seed_gives_the_same_texts_whatever_else_draws(name: str) -> None:
    state = torch.get_rng_state()
    first = make(name).apply(many(), seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)
    assert make(name).apply(many(), seed=3).fingerprint == first.fingerprint


@pytest.mark.parametrize("name", [name for name in for_texts() if name != "symbol"])
def test_another_seed_gives_other_texts(name: str) -> None:
    assert make(name).apply(many(), seed=0).fingerprint != make(name).apply(many(), seed=1).fingerprint


@pytest.mark.parametrize("radius", [0.01, 0.25, 0.5])
@pytest.mark.parametrize("name", ["random_words", "regtext"])
def test_at_most_the_share_of_words_is_replaced_and_at_least_one_is_chosen(name: str, radius: float) -> None:
    clean = many()
    poisoned = make(name, radius=radius).apply(clean, seed=0)
    count, _ = changed_words(clean, poisoned)
    lengths = clean.inputs["mask"].sum(1)
    assert torch.equal(poisoned.inputs["mask"], clean.inputs["mask"])
    # A word may be drawn that stands there already, so fewer may differ.
    assert (count <= torch.tensor([max(1, int(radius * length)) for length in lengths.tolist()])).all()


@pytest.mark.parametrize("name", for_texts())
def test_images_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is made for texts.*dataset=reviews, sst2 or text"):
        make(name).check(image_set())


@pytest.mark.parametrize("name", for_images())
def test_poisons_of_images_refuse_texts(name: str) -> None:
    with pytest.raises(ValueError, match="made for 8-bit images"):
        build(name).check(many())


@pytest.mark.parametrize("radius", [0, -0.1, 1.5, "much"])
def test_a_radius_that_is_no_share_is_refused(radius: Any) -> None:
    with pytest.raises(Exception, match="`radius` must be a share of a text's words"):
        make("regtext", radius=radius)


def test_ids_that_no_word_stands_behind_are_refused() -> None:
    clean = many()
    ids = clean.inputs["ids"].clone()
    ids[3, 0] = len(clean.vocabulary)
    wrong = Samples({"ids": ids, "mask": ids != PAD}, clean.targets, clean.tasks, clean.vocabulary)
    with pytest.raises(ValueError, match=r"Text 3 .* the vocabulary has"):
        make("symbol").check(wrong)
