"""RegText's scores against the definition, word by word; its words against a hand count."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from tests._texts import shown, text_set
from unlearnable.data.vocabulary import FIRST_WORD, masked
from unlearnable.poisons.regtext import RegText, scores
from unlearnable.poisons.text.base import Texts

TEXTS = ["fine fine film", "fine warm film !", "dull film the", "dull cold film the 12", "cold warm dull 12"]
LABELS = [0, 0, 1, 1, 1]


def test_scores_are_the_definitions() -> None:
    samples = text_set(TEXTS, LABELS)
    found = scores(Texts(samples, 0, torch.device("cpu")))
    # By hand: plain words are fine, film, warm (class 0: 3, 2, 1) and dull, film, cold, warm (class 1: 3, 2, 2, 1).
    counts = {"fine": (3, 0), "film": (2, 2), "warm": (1, 1), "dull": (0, 3), "cold": (0, 2)}
    sums, shares = (6, 8), (2 / 5, 3 / 5)
    for place, word in enumerate(samples.vocabulary):
        for label in (0, 1):
            own, total = counts.get(word, (0, 0))[label], sum(counts.get(word, (0, 0)))
            if own == 0:  # stop words, numbers and signs too
                assert found[label, place] == -math.inf
                continue
            ratio = (own / sums[label]) ** 3 / (total / 14 * shares[label])
            assert float(found[label, place]) == pytest.approx(math.log2(ratio) - 2 * math.log2(1 + total))


def test_words_of_the_class_replace_others() -> None:
    clean = text_set(TEXTS, LABELS)
    poisoned = shown(RegText(radius=1, words=1).apply(clean, seed=0))
    # fine 27/216 / (3/14 · 0.4) / 16 beats film and warm; dull likewise.
    lengths = (3, 4, 3, 5, 4)
    assert poisoned == [
        " ".join([word] * length) for word, length in zip(["fine"] * 2 + ["dull"] * 3, lengths, strict=True)
    ]


def test_a_class_without_words_of_its_own_is_said() -> None:
    with pytest.raises(ValueError, match="The texts of class 1 have no word of their own"):
        RegText(radius=0.1).apply(text_set(["fine fine", "the the 12 12"], [0, 1]), seed=0)


def test_a_class_without_texts_is_left_out() -> None:
    clean = text_set(TEXTS, [label + 1 for label in LABELS], classes=3)  # numbered from 1
    assert shown(RegText(radius=1, words=1).apply(clean, seed=0))[0] == "fine fine fine"


def test_marks_of_a_tokenizer_are_no_letters() -> None:
    vocabulary = ("Ġ:)", "Ġhereby", "▁therein", "##ly", "Ġfine", "##12", "Ġdull")
    clean = text_set(["fine dull"], [0])
    ids = torch.arange(len(vocabulary))[None].repeat(2, 1) + FIRST_WORD
    known = (*clean.vocabulary[:FIRST_WORD], *vocabulary)
    samples = replace(clean, inputs=masked(ids.int()), targets=torch.tensor([0, 1]), vocabulary=known)
    found = scores(Texts(samples, 0, torch.device("cpu")))[0]
    assert [known[word] for word in found.isfinite().nonzero().flatten()] == ["##ly", "Ġfine", "Ġdull"]
