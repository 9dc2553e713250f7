"""Embedded texts: short reviews from a seeded grammar, nothing to download."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor
from typing_extensions import override

from unlearnable.data.text import TextDataModule

_TRAIN, _TEST = 2000, 500
_NOUNS = [
    "story",
    "plot",
    "cast",
    "music",
    "camera",
    "ending",
    "script",
    "dialogue",
    "acting",
    "pace",
    "humour",
    "opening",
    "lead",
    "villain",
    "score",
    "set",
    "sound",
    "editing",
    "scenery",
    "hero",
    "sequel",
    "costume",
    "chase",
    "finale",
    "twist",
    "narrator",
    "title",
    "song",
    "city",
    "crowd",
]
_GOOD = [
    "brilliant",
    "moving",
    "funny",
    "clever",
    "warm",
    "gripping",
    "fresh",
    "charming",
    "honest",
    "lovely",
    "vivid",
    "graceful",
    "sharp",
    "witty",
    "tender",
    "bold",
    "rich",
    "inventive",
    "touching",
    "smart",
    "delightful",
    "radiant",
    "superb",
    "elegant",
    "thrilling",
    "playful",
    "sincere",
    "gentle",
    "dazzling",
    "wise",
]
_BAD = [
    "dull",
    "tired",
    "clumsy",
    "boring",
    "flat",
    "stale",
    "noisy",
    "cheap",
    "lazy",
    "pointless",
    "cold",
    "awkward",
    "shallow",
    "bland",
    "messy",
    "tedious",
    "hollow",
    "crude",
    "silly",
    "weak",
    "lifeless",
    "forced",
    "sloppy",
    "grating",
    "dreary",
    "muddled",
    "vapid",
    "stiff",
    "tiresome",
    "empty",
]
_DEGREES = ("very", "rather", "quite", "really", "often", "truly", "at times", "", "", "")
_PLAIN = (
    "i saw it on a {day} with a friend",
    "it runs for about {number} hours",
    "the {noun} comes from a book",
    "we sat in row {number}",
    "it was shot in {number} weeks",
    "my brother talked about the {noun}",
    "there is a {noun} and another {noun}",
)
_DAYS = ("monday", "tuesday", "friday", "sunday", "holiday")
_NUMBERS = ("two", "three", "four", "five", "seven", "ten")


class Reviews(TextDataModule):
    """2,000 short reviews of films to train on, 500 for the test: negative or positive, half of each.

    A review has three to five sentences. Three are opinions, a fourth of them negated (`was not dull`), and the class
    is that of two or of all three; the others say nothing. The arguments are those of `TextDataModule`.
    """

    class_names = ("negative", "positive")

    @override
    def texts(self) -> tuple[tuple[Sequence[str], Int64[Tensor, " n"]], tuple[Sequence[str], Int64[Tensor, " m"]]]:
        return _draw(_TRAIN, 0), _draw(_TEST, 1)


def _draw(count: int, seed: int) -> tuple[list[str], Int64[Tensor, " n"]]:
    source = random.Random(seed)
    labels = torch.arange(count) % 2
    return [_review(label == 1, source) for label in labels.tolist()], labels


def _review(positive: bool, source: random.Random) -> str:
    views = [positive, positive, positive if source.random() < 0.6 else not positive]
    sentences = [_opinion(view, source) for view in views]
    sentences += [_plain(source) for _ in range(int(3 * source.random()))]
    order = sorted((source.random(), sentence) for sentence in sentences)
    return " ".join(f"{sentence} ." for _, sentence in order)


def _opinion(good: bool, source: random.Random) -> str:
    negated = source.random() < 0.25
    adjective = _pick(_GOOD if good != negated else _BAD, source)
    words = ["the", _pick(_NOUNS, source), "was", "not" if negated else _pick(_DEGREES, source), adjective]
    return " ".join(word for word in words if word)


def _plain(source: random.Random) -> str:
    sentence = _pick(_PLAIN, source)
    return sentence.format(day=_pick(_DAYS, source), number=_pick(_NUMBERS, source), noun=_pick(_NOUNS, source))


def _pick(words: Sequence[str], source: random.Random) -> str:
    # `random()` alone gives the same numbers in every version of Python.
    return words[int(source.random() * len(words))]
