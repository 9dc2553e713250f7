"""Texts split by the tokenizer of a language model, from its local folder (the extra `hf`)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlearnable.data.vocabulary import PAD, UNKNOWN
from unlearnable.store import file_digest

#: What a folder must have one of.
FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")
_PROBE = "a"  # a text whose frame is looked at


@dataclass(frozen=True)
class TokenIds:
    """What a model's own tokenizer calls the entries of a vocabulary.

    Attributes:
        ids: The model's id of each entry, by the vocabulary's.
        padding: What stands where there is no token.
        before: Ids that a text begins with, such as that of `[CLS]`.
        after: Ids that it ends with.
    """

    ids: tuple[int, ...]
    padding: int
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()


class Tokenizer:
    """A tokenizer of `transformers` from a local folder: data alone, no code of the folder is run.

    Args:
        folder: With its files, such as `tokenizer.json`.

    Raises:
        FileNotFoundError: if there is no such folder, or no tokenizer in it.
        ValueError: if it cannot be read.
        ModuleNotFoundError: if transformers is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        found = [self.folder / name for name in FILES if (self.folder / name).is_file()]
        if not found:
            there = "has none of them" if self.folder.is_dir() else "is not there"
            raise FileNotFoundError(
                f"`dataset.tokenizer` must name a local folder with one of {', '.join(FILES)}; {self.folder} {there}."
            )
        auto = load_transformers("`dataset.tokenizer`").AutoTokenizer
        try:
            self._tokenizer: Any = auto.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # each class of tokenizers has errors of its own
            raise ValueError(f"`dataset.tokenizer`: {self.folder} cannot be read as a tokenizer ({error}).") from error

    @property
    def digest(self) -> str:
        """SHA-256 over what its folder says of it."""
        files = [file for file in self.folder.iterdir() if file.name in (*FILES, "merges.txt") or "token" in file.name]
        return hashlib.sha256("".join(file.name + file_digest(file) for file in sorted(files)).encode()).hexdigest()

    def split(self, text: str) -> list[str]:
        """The tokens of a text, without those that frame it."""
        found: list[str] = self._tokenizer.tokenize(text)
        return found

    def ids(self, vocabulary: Sequence[str]) -> TokenIds:
        """The tokenizer's ids of a vocabulary's entries; those that it does not have are its unknown.

        Args:
            vocabulary: Padding, the unknown, and tokens that `split` gives.
        """
        own = self._tokenizer
        unknown = next(
            (found for found in (own.unk_token_id, own.pad_token_id, own.eos_token_id) if found is not None), 0
        )
        ids = [unknown if found is None else found for found in own.convert_tokens_to_ids(list(vocabulary))]
        ids[UNKNOWN] = unknown
        taken = set(ids[PAD + 1 :])
        padding = own.pad_token_id
        if padding is None or padding in taken:  # models find a text's end by its padding
            padding = next((free for free in range(len(own)) if free not in taken), 0)
        ids[PAD] = padding
        whole = own(_PROBE)["input_ids"]
        bare = own(_PROBE, add_special_tokens=False)["input_ids"]
        start = next((place for place in range(len(whole)) if whole[place : place + len(bare)] == bare), 0)
        return TokenIds(tuple(ids), padding, tuple(whole[:start]), tuple(whole[start + len(bare) :]))


def load_transformers(what: str) -> Any:
    """The library, which takes seconds to load, made to say no more than what is wrong.

    Args:
        what: What needs it, for the message.

    Raises:
        ModuleNotFoundError: if it is not installed.
    """
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{what} needs transformers, which is not installed: pip install 'unlearnable[hf]'."
        ) from error
    transformers.logging.set_verbosity_error()  # it tells of new heads, and of ids that are not used here
    transformers.logging.disable_progress_bar()
    return transformers
