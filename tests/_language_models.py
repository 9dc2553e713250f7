"""A language model's folder, as `save_pretrained` writes it, made here: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import torch

TEXTS = ["a good film", "a bad film", "good !", "bad !", "films are good films", "un good un bad"]


def tokenizer_folder(folder: Path, *, framed: bool) -> Path:
    """A word-piece tokenizer, with `[CLS]` and `[SEP]` around a text if it is framed."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[UNK]", "film", "[PAD]", "[CLS]", "[SEP]", "a", "good", "bad", "!", "##s", "are", "un", "rest"]
    tokenizer = Tokenizer(models.WordPiece({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    if framed:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 3), ("[SEP]", 4)]
        )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]")
    fast.save_pretrained(folder)
    return folder


def model_folder(folder: Path, name: str, *, entries: int = 13, positions: int = 16) -> Path:
    """A causal language model, or a base that a classifier can be made of, with random weights."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "pad_token_id": 2}
    config = AutoConfig.for_model(name, vocab_size=entries, max_position_embeddings=positions, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        kind = AutoModelForMaskedLM if name == "bert" else AutoModelForCausalLM
        kind.from_config(config).save_pretrained(folder)
    return folder
