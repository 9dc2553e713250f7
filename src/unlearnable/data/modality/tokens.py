"""Texts as ids of words: as models take them, on disk and to the eye."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int, Int64
from safetensors.torch import load_file, save_file
from torch import Tensor
from typing_extensions import override

from unlearnable.data.modality.base import Modality
from unlearnable.data.samples import Inputs, Samples, Targets
from unlearnable.data.tokenizer import Tokenizer
from unlearnable.data.vocabulary import PAD, decode
from unlearnable.files import whole_file, write_atomically
from unlearnable.options import Number, whole
from unlearnable.tasks import NextToken, Task
from unlearnable.tasks.next_token import next_tokens

#: The text that `Tokens.preview` writes.
PREVIEW = "preview.txt"
_FILE = "tokens.safetensors"
_SHOWN = 3  # texts a class in the preview


class Tokens(Modality):
    """Ids of words `[n, length]` in 32 bits with the mask of what is no padding.

    Args:
        length: Words a text; longer ones are cut, shorter ones padded at the end.
        tokenizer: What split the texts, if it was a language model's: a network of that model needs its ids.

    Raises:
        ValueError: if `length` is no whole number from 2.
    """

    name = "tokens"

    def __init__(self, *, length: Number = 64, tokenizer: Tokenizer | None = None) -> None:
        self.length = whole("dataset.length", length, at_least=2, what="a number of words")
        self.tokenizer = tokenizer

    @property
    @override
    def protocol(self) -> dict[str, Any]:
        return {"length": self.length} | ({"tokenizer": self.tokenizer.digest} if self.tokenizer else {})

    @override
    def check(self, tasks: Mapping[str, Task | type[Task]], inputs: Inputs | None = None) -> None:
        if dense := [name for name, task in tasks.items() if task.dense]:
            raise ValueError(f"Texts have no pixels for the targets of {', '.join(dense)}.")
        if inputs is not None:
            tokens_of(inputs)

    @override
    def predicting(self, task: str, train: Samples) -> Tokens:
        if task != NextToken.kind:
            raise ValueError(f"`task.predicts` must be {NextToken.kind}, which texts hold, or null; got {task!r}.")
        if not (next_tokens(**tokens_of(train.inputs)) >= 0).any():
            raise ValueError("No training text has two words, so there is no next token to predict. Take longer texts.")
        other = copy.copy(self)
        other.own_task = NextToken(task, len(train.vocabulary))
        return other

    @override
    def targets(self, inputs: Inputs, targets: Targets) -> Targets:
        return targets if self.own_task is None else next_tokens(**tokens_of(inputs))

    @override
    def network(self, factory: Callable[..., Any], train: Samples) -> Callable[..., Any]:
        """The network learns how many words there are, and how long texts may be."""
        takes = inspect.signature(factory).parameters
        if not {"vocabulary", "length"} <= takes.keys():
            made = getattr(factory, "func", factory)
            raise ValueError(
                f"The data are texts, and {getattr(made, '__name__', made)} is no network for texts: it takes no "
                "`vocabulary` and `length`. Use model=tiny_transformer, or tiny_gpt with task=next_token."
            )
        known = {"tokens": self.tokenizer.ids(train.vocabulary)} if self.tokenizer and "tokens" in takes else {}
        return partial(factory, vocabulary=len(train.vocabulary), length=self.length, **known)

    @override
    def to_model(self, inputs: Inputs) -> dict[str, Int64[Tensor, "n l"] | Bool[Tensor, "n l"]]:
        """Ids and mask, cut to the longest text of the batch: a model's outputs do not depend on padding."""
        tokens = tokens_of(inputs)
        longest = max(1, int(tokens["mask"].sum(1).max()))
        return {"ids": tokens["ids"][:, :longest].long(), "mask": tokens["mask"][:, :longest]}

    @override
    def describe(self, clean: Samples, poisoned: Samples) -> dict[str, Any]:
        """The share of texts that are changed, and of each text's words: what a poison used of its budget.

        Words are changed by being replaced, added or taken away; of all ways to make the one text of the other the
        shortest counts (Levenshtein's distance, in words). The share is of the clean text's words, so it may exceed 1
        where more are added than there were.
        """
        differing, share = changed_words(clean, poisoned)
        changed = differing > 0
        return {
            "texts": len(clean),
            "changed": float(changed.float().mean()),
            "tokens_mean": float(share[changed].mean()) if changed.any() else 0.0,
            "tokens_max": float(share.max()),
            "words_mean": float(differing[changed].double().mean()) if changed.any() else 0.0,
        }

    @override
    def preview(self, clean: Samples, poisoned: Samples, folder: Path) -> Path:
        """Some texts of each class with their changes marked: `a [dull→fine] film [+!]`."""
        before, after = tokens_of(clean.inputs)["ids"], tokens_of(poisoned.inputs)["ids"]
        lines = []
        for label in clean.labels.unique().tolist():
            rows = (clean.labels == label).nonzero().flatten()
            touched = rows[(before[rows] != after[rows]).any(1)]
            for row in (touched if len(touched) else rows)[:_SHOWN].tolist():
                pair = (decode(ids[row].tolist(), clean.vocabulary) for ids in (before, after))
                lines.append(f"class {label}: {marked(*pair)}")
        path = folder / PREVIEW
        write_atomically(path, "\n".join(lines) + "\n")
        return path

    @override
    def write(self, folder: Path, inputs: Inputs) -> None:
        with whole_file(folder / _FILE) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tokens_of(inputs).items()}, temporary)

    @override
    def read(self, folder: Path) -> Inputs:
        return load_file(folder / _FILE)


def tokens_of(inputs: Inputs) -> Mapping[str, Tensor]:
    """The ids and the mask that texts are stored as.

    Raises:
        ValueError: if they are something else.
    """
    if isinstance(inputs, Tensor) or set(inputs) != {"ids", "mask"}:
        found = f"a tensor of shape {tuple(inputs.shape)}" if isinstance(inputs, Tensor) else ", ".join(inputs)
        raise ValueError(f"Texts are token ids with their mask; the data hold {found}.")
    return inputs


def changed_words(clean: Samples, poisoned: Samples) -> tuple[Int[Tensor, " n"], Tensor]:
    """Of each text how many words are replaced, added or taken away, at least, and their share of its words."""
    before, after = tokens_of(clean.inputs)["ids"], tokens_of(poisoned.inputs)["ids"]
    count = (before != after).sum(1)  # place by place, which is never less
    rows = (count > 1).nonzero().flatten()
    for part in rows.split(8192):
        count[part] = word_distance(before[part], after[part])
    return count, count.double() / (before != PAD).sum(1).clamp_min(1)


def word_distance(before: Int[Tensor, "n l"], after: Int[Tensor, "n m"]) -> Int[Tensor, " n"]:
    """Levenshtein's distance of texts, row by row: the fewest words to replace, add or take away; padding is no word."""
    lengths = (after != PAD).sum(1, keepdim=True)
    steps = torch.arange(after.shape[1] + 1)
    row = steps.repeat(len(before), 1)  # from no word to the first j words
    for place in range(before.shape[1]):
        old = before[:, place, None]
        new = row + 1  # taken away
        new[:, 1:] = torch.minimum(new[:, 1:], row[:, :-1] + (after != old))  # kept or replaced
        new = (new - steps).cummin(1).values + steps  # added, one after the other
        row = torch.where(old == PAD, row, new)
    return row.gather(1, lengths).squeeze(1)


def marked(before: list[str], after: list[str]) -> str:
    """Two versions of a text in one, changed words as `[old→new]`, added ones as `[+new]`, lost ones as `[−old]`."""
    size, other = len(before), len(after)
    # Least number of changes from the words i, i + 1, … of the one to the words j, j + 1, … of the other.
    fewest = [[size - i + other - j for j in range(other + 1)] for i in range(size + 1)]
    for i in reversed(range(size)):
        for j in reversed(range(other)):
            kept = fewest[i + 1][j + 1] + (before[i] != after[j])
            fewest[i][j] = min(kept, fewest[i + 1][j] + 1, fewest[i][j + 1] + 1)
    words, i, j = [], 0, 0
    while i < size or j < other:
        if i < size and j < other and fewest[i][j] == fewest[i + 1][j + 1] + (before[i] != after[j]):
            words.append(before[i] if before[i] == after[j] else f"[{before[i]}→{after[j]}]")
            i, j = i + 1, j + 1
        elif i < size and fewest[i][j] == fewest[i + 1][j] + 1:
            words.append(f"[−{before[i]}]")
            i += 1
        else:
            words.append(f"[+{after[j]}]")
            j += 1
    return " ".join(words)
