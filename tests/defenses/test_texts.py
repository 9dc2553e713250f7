"""Defences of texts against their definitions, and in a whole job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests._inputs import composed, seeded
from tests._texts import shown, text_set
from unlearnable.data.modality.tokens import Tokens
from unlearnable.data.vocabulary import PAD, UNKNOWN, encode
from unlearnable.defenses.no_signs import NoSigns
from unlearnable.defenses.rare_words import RareWords
from unlearnable.defenses.word_dropout import WordDropout
from unlearnable.experiment import run
from unlearnable.poisons.symbol import Symbol

from ._inputs import purified


def at_test(text: str, samples: Any, defense: Any) -> list[str]:
    inputs = encode([text.split()], samples.vocabulary, length=12)
    return shown(samples.replace(inputs=defense.fitted(samples).at_test(inputs), targets=torch.zeros(1)))


def test_words_are_dropped_at_the_rate_and_padding_never() -> None:
    ids = torch.full((400, 50), 40)
    ids[:, 30:] = PAD
    found, _ = WordDropout(rate=0.3).batch({"ids": ids, "mask": ids != PAD}, torch.zeros(400), generator=seeded(0))
    assert set(found["ids"][:, :30].unique().tolist()) == {40, UNKNOWN}
    assert (found["ids"][:, 30:] == PAD).all()
    share = (found["ids"][:, :30] == UNKNOWN).float()
    assert float(share.mean()) == pytest.approx(0.3, abs=0.015)  # 12,000 draws: three standard deviations are 0.0125
    assert 0 < float(share.mean(1).std()) < 0.12  # each word by itself: √(0.3 · 0.7 / 30) = 0.084 over the texts
    assert float(share.mean(1).std()) == pytest.approx(0.084, rel=0.15)


@pytest.mark.parametrize("rate", [0, 1, "some"])
def test_a_rate_that_is_no_probability_is_refused(rate: Any) -> None:
    with pytest.raises(ValueError, match=r"`defense\.rate` must be a probability"):
        WordDropout(rate=rate)


def test_words_and_signs_below_the_number_of_occurrences_become_unknown(tmp_path: Path) -> None:
    # a five times, b four, c three times in one text, the sign once.
    samples = text_set(["a a b c c c", "a b b !", "a a b"], [0, 1, 0])
    assert shown(purified(RareWords(least=4), samples, tmp_path)) == [
        "a a b <unk> <unk> <unk>",
        "a b b <unk>",
        "a a b",
    ]
    assert shown(purified(RareWords(least=3), samples, tmp_path))[0] == "a a b c c c"


def test_the_vocabulary_is_that_of_the_poisoned_texts_and_of_the_test_texts_too() -> None:
    clean = text_set(["good film good", "bad film bad"], [0, 1])
    poisoned = clean.replace(inputs=encode([["film", "good"], ["film", "bad", "bad"]], clean.vocabulary, length=12))
    defense = RareWords(least=2)
    assert at_test("good bad film", clean, defense) == ["good bad film"]
    assert at_test("good bad film", poisoned, defense) == ["<unk> bad film"]  # good is left once
    assert at_test("good bad film", clean, defense) == ["good bad film"]  # two models share one defence


def test_signs_are_taken_out_and_gaps_closed(tmp_path: Path) -> None:
    samples = text_set(["a well-made film , isn't it ? …", "film … a ! b2 it", "! ?"], [0, 1, 0])
    found = purified(NoSigns(), samples, tmp_path)
    # `…` occurs twice, so it is an entry beyond the ASCII signs; words that occur once are unknown, and stay.
    assert shown(found) == ["a <unk> film <unk> it", "film a <unk> it", "<unk>"]
    assert at_test("film ! film … it", samples, NoSigns()) == ["film film it"]


def test_no_signs_undo_the_class_symbol(tmp_path: Path) -> None:
    clean = text_set(["a film a film", "a film film"], [0, 1])
    poisoned = Symbol().apply(clean, seed=0)
    assert shown(poisoned) != shown(clean)
    assert purified(NoSigns(), poisoned, tmp_path).fingerprint == clean.fingerprint


def test_test_texts_before_the_training_texts_are_refused() -> None:
    samples = text_set(["a a", "a"], [0, 1])
    with pytest.raises(RuntimeError, match="RareWords is to see its training texts by `fitted`"):
        RareWords().at_test(Tokens(length=12).to_model(samples.inputs))


@pytest.mark.slow
def test_a_defended_job_sees_clean_data_where_the_defence_undoes_the_poison(tmp_path: Path) -> None:
    small = ("dataset.subset=40", "dataset.test_subset=20", "dataset.batch_size=20", "dataset.length=40")
    short = ("sal.samples=20", "steps=1", "trainer.max_epochs=1", "sal.split=test", "logger=none")
    texts = ("experiment=smoke", "dataset=reviews", "model=tiny_transformer", "poison=symbol", "defense=no_signs")
    result = run(composed(*texts, *small, *short, f"store.dir={tmp_path}/store"), folder=tmp_path)
    # The poisoned set, purified, is the clean one, purified: the clean reference is the run itself.
    assert result["keys"]["trajectory"] == result["keys"]["reference"]["trajectory"]
    assert result["sal"] == result["clean_sal"]
    previews = [path.read_text(encoding="utf-8") for path in (tmp_path / "store" / "purified").glob("*/preview.txt")]
    assert len(previews) == 2
    assert sum("@" in preview for preview in previews) == 1
