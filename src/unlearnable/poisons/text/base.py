"""What all poisons of texts share: the training texts as a poison sees them, and a budget in words."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Bool, Int64
from torch import Generator, Tensor
from typing_extensions import override

from unlearnable import seeding
from unlearnable.data.modality.tokens import tokens_of
from unlearnable.data.samples import Samples
from unlearnable.data.vocabulary import FIRST_WORD, check_tokens, masked
from unlearnable.options import Number, number
from unlearnable.poisons.base import Poison

#: Most words of a text that a share of it is, as in RegText's code.
_MOST = 10


@dataclass(frozen=True)
class Texts:
    """The training texts, as a poison sees them.

    Attributes:
        samples: Token ids with their mask, labels and vocabulary.
        seed: Source of all randomness, through `stream`.
        device: Where to compute.
        progress: Whether to show progress bars on a terminal.
    """

    samples: Samples
    seed: int
    device: torch.device
    progress: bool = False

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def ids(self) -> Int64[Tensor, "n l"]:
        """Ids of the words, 0 for padding; a copy."""
        return tokens_of(self.samples.inputs)["ids"].long()

    @cached_property
    def lengths(self) -> Int64[Tensor, " n"]:
        """Words of each text."""
        return tokens_of(self.samples.inputs)["mask"].sum(1)

    @property
    def labels(self) -> Int64[Tensor, " n"]:
        """Their classes."""
        return self.samples.labels

    @property
    def num_classes(self) -> int:
        """Classes of the data set."""
        task = self.samples.class_task
        assert task is not None
        return task.channels

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The word of each id."""
        return self.samples.vocabulary

    def stream(self, *purpose: int) -> Generator:
        """A generator of its own for each purpose, by numbers."""
        return seeding.generator("cpu", self.seed, *purpose)


class TextPoison(Poison):
    """A change of training texts that is to make them unlearnable; texts of the test stay as they are.

    A method implements `rewrite`. It writes words of the clean vocabulary alone, which has the signs too, so models on
    clean and poisoned texts have the same layers.
    """

    @abstractmethod
    def rewrite(self, texts: Texts) -> Int64[Tensor, "n l"]:
        """The new ids, row for row, with 0 after each text's end."""

    @override
    def check(self, samples: Samples) -> None:
        """Checks that the samples are texts with classes."""
        name = type(self).__name__
        if not are_texts(samples):
            raise ValueError(
                f"{name} is made for texts, and the data hold other inputs, such as images: use it with "
                "dataset=reviews, sst2 or text."
            )
        check_tokens(tokens_of(samples.inputs), samples.vocabulary)
        if samples.class_task is None:
            raise ValueError(f"{name} is made against a classification, and the data have none.")

    @override
    def apply(
        self,
        samples: Samples,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        progress: bool = False,
        work_dir: Path | None = None,
    ) -> Samples:
        """Returns the poisoned texts; the arguments are those of `Poison.apply`."""
        self.check(samples)
        where = torch.device(device)
        # Networks draw their initialisation from the global generators: seeded here, given back as they were.
        with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
            torch.manual_seed(seed)
            ids = self.rewrite(Texts(samples, seed, where, progress))
        return samples.replace(inputs=masked(ids.to(torch.int32).cpu()))


def are_texts(samples: Samples) -> bool:
    """Whether the samples are texts, ids with the words that these stand for."""
    return not isinstance(samples.inputs, Tensor) and bool(samples.vocabulary)


class Replacing(TextPoison):
    """Replaces words at random places, by words that a method chooses for each text.

    Of a text with m words, min(max(⌊radius · m⌋, 1), 10) are replaced (RegText's code): at least one, whatever the
    radius.

    Args:
        radius: Budget: the share of a text's words that is changed, in (0, 1].
    """

    def __init__(self, *, radius: Number) -> None:
        self.radius = number("radius", radius, above=0, at_most=1, what="a share of a text's words")

    @abstractmethod
    def candidates(self, texts: Texts) -> list[Int64[Tensor, " k"]]:
        """Class by class, the ids of which each replaced word becomes one, at random."""

    @override
    def rewrite(self, texts: Texts) -> Int64[Tensor, "n l"]:
        draws = texts.stream(0)
        ids, places = texts.ids, random_places(texts, self.radius, draws)
        for label, words in enumerate(self.candidates(texts)):
            chosen = places & (texts.labels == label)[:, None]
            if not chosen.any():  # a class without texts has no words either
                continue
            drawn = torch.randint(len(words), (int(chosen.sum()),), generator=draws)
            ids = ids.masked_scatter(chosen, words[drawn])
        return ids


def random_places(texts: Texts, radius: float, generator: Generator) -> Bool[Tensor, "n l"]:
    """Of each text with m words, min(max(⌊radius · m⌋, 1), 10) places at random."""
    counts = (radius * texts.lengths + 1e-9).floor().long().clamp(1, _MOST)
    score = torch.rand(texts.ids.shape, generator=generator)
    score[torch.arange(texts.ids.shape[1]) >= texts.lengths[:, None]] = -1  # padding comes last
    rank = score.argsort(1, descending=True).argsort(1)
    return rank < counts[:, None]


def plain_words(texts: Texts) -> Int64[Tensor, " w"]:
    """The ids of words, without padding, the unknown and the signs.

    Raises:
        ValueError: if there are none.
    """
    if len(texts.vocabulary) <= FIRST_WORD:
        raise ValueError("No word occurs twice in the training texts, so there is none to write. Take more texts.")
    return torch.arange(FIRST_WORD, len(texts.vocabulary))
