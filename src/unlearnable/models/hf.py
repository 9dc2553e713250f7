"""Sequence classifiers and causal language models of `transformers` (the extra `hf`), local ones or with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from unlearnable.data.tokenizer import FILES, TokenIds, load_transformers
from unlearnable.data.vocabulary import PAD
from unlearnable.options import Number, whole
from unlearnable.tasks import NextToken

#: What configurations call the width between a block's two linear maps, where four times its own is not their default.
_INNER = ("intermediate_size", "hidden_dim", "ffn_dim")
_SPARE = 2  # positions: some architectures begin to count after the padding's id


class HuggingFace(nn.Module):
    """A model of `transformers` as a network for texts: token ids with their mask in, scores out.

    Args:
        model: A sequence classifier or a causal language model.
        tokens: What the model calls the entries of the vocabulary; None if it has the vocabulary's own ids.
        vocabulary: How many entries there are.
        causal: Whether it is a language model, with scores at each token.
    """

    own: Tensor

    def __init__(self, model: nn.Module, tokens: TokenIds | None, *, vocabulary: int, causal: bool) -> None:
        super().__init__()
        self.model, self.tokens, self.vocabulary, self.causal = model, tokens, vocabulary, causal
        self.register_buffer("own", torch.tensor([] if tokens is None else tokens.ids), persistent=False)

    @override
    def forward(self, inputs: Any) -> Float[Tensor, "n k"] | Float[Tensor, "n l k"]:
        """Class scores of texts, or scores of each token's successor among the vocabulary's entries."""
        if not isinstance(inputs, Mapping):
            raise ValueError(
                "model=hf is for texts, token ids with their mask, and the data hold images: use dataset=reviews, sst2 "
                "or text."
            )
        ids, mask = inputs["ids"], inputs["mask"]
        if self.tokens is None:
            scores = self.model(input_ids=ids, attention_mask=mask.long()).logits
            return scores[..., : self.vocabulary] if self.causal else scores
        ids, framed = self._framed(ids, mask, self.tokens)
        scores = self.model(input_ids=ids, attention_mask=framed.long()).logits
        if not self.causal:
            return scores
        start = len(self.tokens.before)
        return scores[:, start : start + mask.shape[1]][..., self.own]

    def _framed(
        self, ids: Int64[Tensor, "n l"], mask: Bool[Tensor, "n l"], tokens: TokenIds
    ) -> tuple[Int64[Tensor, "n m"], Bool[Tensor, "n m"]]:
        """The model's own ids between those that begin and end a text, with their mask."""
        before = ids.new_tensor(tokens.before).expand(len(ids), -1)
        own = torch.cat([before, self.own[ids]], 1)
        own = F.pad(own, (0, len(tokens.after)), value=tokens.padding)
        ends = len(tokens.before) + mask.sum(1)
        for place, token in enumerate(tokens.after):
            own[torch.arange(len(own), device=ids.device), ends + place] = token
        ends = ends + len(tokens.after)
        return own, torch.arange(own.shape[1], device=ids.device) < ends[:, None]


def hf_model(
    num_classes: int,
    *,
    path: str | Path | None = None,
    name: str | None = None,
    predicts: str | None = None,
    vocabulary: Number = 1000,
    length: Number = 64,
    tokens: TokenIds | None = None,
    width: Number = 96,
    depth: Number = 2,
    heads: Number = 4,
    **options: Any,
) -> HuggingFace:
    """A model of `transformers`: that of a local folder, or an architecture with random weights.

    Nothing is downloaded. Of a folder, weights are read from safetensors alone, and none of its code is run.

    Args:
        num_classes: Length of the output.
        path: A folder as `save_pretrained` writes it.
        name: An architecture's name in `transformers`, such as `gpt2`, `bert` or `llama`; either this or `path`.
        predicts: `next_token` for a causal language model, None for a sequence classifier.
        vocabulary: How many entries the vocabulary has: a named architecture's embedding is made for it.
        length: Most tokens a text.
        tokens: What a local model calls the vocabulary's entries, see `HuggingFace`.
        width: Of a named architecture: its `hidden_size`.
        depth: Likewise: its `num_hidden_layers`.
        heads: Likewise: its `num_attention_heads`.
        **options: More of a named architecture's configuration, in its own words.

    Raises:
        ValueError: if neither or both of `path` and `name` are given, there is no such architecture, or none for what it is
            to predict, or the model is not for such a vocabulary or length.
        FileNotFoundError: if the folder has no model.
        ModuleNotFoundError: if transformers is not installed.
    """
    transformers = load_transformers("model=hf")
    if (path is None) == (name is None):
        raise ValueError(
            "model=hf takes either model.path, a local folder with config.json and safetensors, or model.name, an "
            f"architecture with random weights such as gpt2; got {'neither' if path is None else 'both'}."
        )
    vocabulary, length = whole("vocabulary", vocabulary), whole("length", length)
    causal = predicts == NextToken.kind
    auto = transformers.AutoModelForCausalLM if causal else transformers.AutoModelForSequenceClassification
    if path is not None:
        model = _loaded(auto, Path(path).expanduser(), num_classes, tokens)
    else:
        sizes = {
            "hidden_size": whole("model.net.width", width),
            "num_hidden_layers": whole("model.net.depth", depth),
            "num_attention_heads": whole("model.net.heads", heads),
            "vocab_size": vocabulary,
            "max_position_embeddings": length + _SPARE,
            "num_labels": num_classes,
            "pad_token_id": PAD,
        }
        tokens = None  # its ids are the vocabulary's
        model = _named(transformers, auto, str(name), {**sizes, **options})
    net = HuggingFace(model, tokens, vocabulary=vocabulary, causal=causal)
    _check(net, vocabulary, length, str(path or name))
    return net


def _loaded(auto: Any, folder: Path, num_classes: int, tokens: TokenIds | None) -> nn.Module:
    """The model of a folder, in float32; a classifier's head starts afresh where the folder has none for the classes."""
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        there = sorted(file.name for file in folder.iterdir())[:8] if folder.is_dir() else "nothing"
        raise FileNotFoundError(
            f"`model.path` must name a local folder with config.json and weights as .safetensors; {folder} has {there}."
        )
    if tokens is None and any((folder / name).is_file() for name in FILES):
        raise ValueError(
            f"The model in {folder} has a tokenizer, and the texts are split by another: give dataset.tokenizer={folder}."
        )
    try:
        return auto.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            use_cache=False,
            ignore_mismatched_sizes=True,
            pad_token_id=PAD if tokens is None else tokens.padding,
            **({"num_labels": num_classes} if "Sequence" in auto.__name__ else {}),
        )
    except Exception as error:  # each architecture has errors of its own
        raise ValueError(
            f"`model.path`: {folder} cannot be read by transformers' {auto.__name__}: {_first_line(error)}"
        ) from error


def _named(transformers: Any, auto: Any, name: str, options: Mapping[str, Any]) -> nn.Module:
    known = list(transformers.CONFIG_MAPPING)
    if name not in known:
        similar = get_close_matches(name, known, n=5, cutoff=0.4)
        raise ValueError(f"transformers has no architecture {name!r}; similar: {', '.join(similar) or 'none'}.")
    inner = [key for key in _INNER if key not in options and hasattr(transformers.AutoConfig.for_model(name), key)]
    try:
        config = transformers.AutoConfig.for_model(
            name,
            **dict.fromkeys(inner, 4 * options["hidden_size"]),
            **{"bos_token_id": None, "eos_token_id": None, "use_cache": False, **options},
        )
        return auto.from_config(config)
    except Exception as error:  # each architecture has errors of its own
        raise ValueError(
            f"`model.name` = {name} cannot be built by transformers' {auto.__name__} with {dict(options)}: "
            f"{_first_line(error)}"
        ) from error


def _check(net: HuggingFace, vocabulary: int, length: int, what: str) -> None:
    """Refuses a model that cannot read such texts, or whose predictions have seen what they predict."""
    config: Any = net.model.config
    largest = vocabulary - 1 if net.tokens is None else max(net.tokens.ids)
    if largest >= config.vocab_size:
        raise ValueError(
            f"The texts have token ids up to {largest}, but the model {what} has {config.vocab_size} entries. "
            f"dataset.tokenizer must be the model's own{'' if net.tokens else '; or use a smaller dataset.vocabulary'}."
        )
    frame = 0 if net.tokens is None else len(net.tokens.before) + len(net.tokens.after)
    longest = getattr(config, "max_position_embeddings", None)
    if longest is not None and length + frame > longest:
        raise ValueError(
            f"`dataset.length` = {length} is more than the model {what} has positions for: {longest - frame}. Use at most "
            "that."
        )
    ids = torch.ones(2, length, dtype=torch.int64)
    ids[1, -1] = min(2, vocabulary - 1)
    was_training = net.training
    try:
        with torch.no_grad():
            scores = net.eval()({"ids": ids, "mask": ids > 0})
    except Exception as error:
        raise ValueError(
            f"The model {what} cannot read a text of `dataset.length` = {length} tokens: {type(error).__name__}: "
            f"{_first_line(error)}"
        ) from error
    finally:
        net.train(was_training)
    if net.causal and not torch.allclose(scores[0, :-1], scores[1, :-1], atol=1e-5):
        raise ValueError(
            f"The model {what} sees the token that it is to predict: it is not causal. Use another, such as "
            "model.name=gpt2, or +model.net.is_decoder=true where its architecture has that."
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
