"""Words and their ids: how a text is split, and which words have an id of their own."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import torch
from jaxtyping import Bool, Int, Int32
from torch import Tensor

#: The id of padding, and that of every word that is not in the vocabulary.
PAD, UNKNOWN = 0, 1
#: Signs that every vocabulary has, whatever the texts hold: ids 2 … 33.
SIGNS = tuple(string.punctuation)
#: The id of the first word.
FIRST_WORD = 2 + len(SIGNS)


def words_of(text: str) -> list[str]:
    """The words and signs of a text, in lower case: `It's fun!` has `it's`, `fun` and `!`.

    Accents and vowel signs belong to the letters that they stand beside, however these are composed (Unicode's NFC).
    """
    text = unicodedata.normalize("NFC", text).lower()
    beside = "" if text.isascii() else "".join(sorted(filter(_is_beside, set(text))))
    return _words(beside).findall(text)


def _is_beside(letter: str) -> bool:
    """Whether it is part of a word though `\\w` leaves it out: a mark, or what joins letters, or keeps them apart."""
    return unicodedata.category(letter).startswith("M") or letter in "\u200c\u200d"


@cache
def _words(beside: str) -> re.Pattern[str]:
    """What finds words and signs, where these stand beside letters."""
    letter = rf"(?:\w[{re.escape(beside)}]*)" if beside else r"\w"
    # Exported texts have the unknown as it is written here.
    return re.compile(rf"<unk>|'?{letter}+(?:[-']{letter}+)*|[^\w\s]")


def build_vocabulary(
    texts: Iterable[Sequence[str]], *, most: int, least: int = 2, words: Sequence[str] = ()
) -> tuple[str, ...]:
    """The word of each id: padding, the unknown, the signs, then what occurs twice or more, the most frequent first.

    Args:
        texts: The words of each training text.
        most: Most entries; the rarest words are left out beyond it.
        least: How often a word must occur to have an id of its own: the row of <unk> is learnt from rarer ones.
        words: These have ids whether they occur or not, after the signs.
    """
    counts = Counter(word for text in texts for word in text)
    fixed = tuple(dict.fromkeys(("<pad>", "<unk>", *SIGNS, *words)))
    found = [word for word, count in counts.items() if count >= least and word not in fixed]
    found.sort(key=lambda word: (-counts[word], word))
    return (*fixed, *found[: most - len(fixed)])


def encode(
    texts: Sequence[Sequence[str]], vocabulary: Sequence[str], *, length: int
) -> dict[str, Int32[Tensor, "n l"] | Bool[Tensor, "n l"]]:
    """Texts as ids `[n, length]`, cut or padded at their ends, and the mask of what is no padding."""
    ids_of = {word: number for number, word in enumerate(vocabulary)}
    rows = [[ids_of.get(word, UNKNOWN) for word in words[:length]] for words in texts]
    ids = torch.tensor([row + [PAD] * (length - len(row)) for row in rows], dtype=torch.int32).view(-1, length)
    return masked(ids)


def masked(ids: Int[Tensor, "n l"]) -> dict[str, Int[Tensor, "n l"] | Bool[Tensor, "n l"]]:
    """Ids with the mask of what is no padding: inputs as they are stored."""
    return {"ids": ids, "mask": ids != PAD}


def decode(ids: Sequence[int], vocabulary: Sequence[str]) -> list[str]:
    """The words of one row, without its padding."""
    return [vocabulary[number] for number in ids if number != PAD]


def check_tokens(inputs: Mapping[str, Tensor], vocabulary: Sequence[str]) -> None:
    """Refuses ids that no word stands behind, and texts without a word.

    Raises:
        ValueError: naming the first such row.
    """
    ids, mask = inputs["ids"], inputs["mask"]
    wrong = ((ids < 0) | (ids >= len(vocabulary))).any(1)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise ValueError(
            f"Text {row} (counted from 0) has the token id {int(ids[row].max())}, but the vocabulary has "
            f"{len(vocabulary)} entries."
        )
    if not (filled := mask.any(1)).all():
        raise ValueError(f"Text {int((~filled).nonzero()[0])} (counted from 0) has no words.")


def check_words(vocabulary: Sequence[str], what: str) -> None:
    """Refuses a vocabulary whose entries are no words as `words_of` makes them, such as the parts of a tokenizer's.

    Args:
        vocabulary: The word of each id.
        what: What needs words, for the message.

    Raises:
        ValueError: naming the first such entry.
    """
    part = next((entry for entry in vocabulary[FIRST_WORD:] if words_of(entry) != [entry]), None)
    if part is not None:
        raise ValueError(
            f"{what} takes texts of words, and {part!r} in the vocabulary is none: these are split by a language model's "
            "tokenizer. Split them into words."
        )
