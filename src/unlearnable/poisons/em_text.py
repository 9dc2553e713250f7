"""Error-minimising texts: the one word in each that lowers a surrogate's loss most."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm
from typing_extensions import override

from unlearnable.options import Number, number, whole
from unlearnable.poisons.base import check_finite
from unlearnable.poisons.text.base import TextPoison, Texts, plain_words

log = logging.getLogger(__name__)


class EMText(TextPoison):
    """Replaces in each text the one word that makes a surrogate's loss smallest, to first order.

    From `Make Text Unlearnable <https://arxiv.org/abs/2307.00456>`_ (Li et al., 2023): every 30 batches of the
    surrogate's training, each text's place p and word w are those that minimise e_w · ∂L/∂e_p, where e_w is the word's
    embedding and the gradient that of the clean text's loss. The paper asks, on SST-2, for words of the same part of
    speech with similar embeddings; here any word may come in. Its rule for stopping looks at the test accuracy; here
    the end is where the surrogate has learnt the poisoned training texts, as in `poison=em`.

    Args:
        surrogate: Makes the network for texts, called with the number of classes, `vocabulary` and `length`.
        surrogate_steps: Batches between two choices of the words.
        stop_accuracy: Ends the alternation when the surrogate is so accurate on the poisoned texts.
        max_rounds: Most choices.
        lr: The surrogate's, of AdamW.
        train_batch_size: Texts a batch of its training.
        batch_size: Texts whose words are chosen at once.
    """

    def __init__(
        self,
        *,
        surrogate: Callable[..., nn.Module],
        surrogate_steps: Number = 30,
        stop_accuracy: Number = 0.99,
        max_rounds: Number = 20,
        lr: Number = 1e-3,
        train_batch_size: Number = 32,
        batch_size: Number = 64,
    ) -> None:
        self.surrogate = surrogate
        self.surrogate_steps = whole("surrogate_steps", surrogate_steps)
        self.stop_accuracy = number("stop_accuracy", stop_accuracy, above=0, at_most=1)
        self.max_rounds = whole("max_rounds", max_rounds)
        self.lr = number("lr", lr, above=0)
        self.train_batch_size = whole("train_batch_size", train_batch_size)
        self.batch_size = whole("batch_size", batch_size)

    @override
    def rewrite(self, texts: Texts) -> Int64[Tensor, "n l"]:
        words, clean = plain_words(texts).to(texts.device), texts.ids
        net = self.surrogate(texts.num_classes, vocabulary=len(texts.vocabulary), length=clean.shape[1])
        net = net.to(texts.device)
        optimizer = torch.optim.AdamW(net.parameters(), lr=self.lr)
        poisoned, batches = clean, self._batches(texts)
        # Of like length, so that little is computed for padding.
        parts = texts.lengths.argsort(stable=True).split(self.batch_size)
        for _ in tqdm(range(self.max_rounds), "EM for texts: rounds", disable=not texts.progress, leave=False):
            net.train()
            right = total = 0
            for _, rows in zip(range(self.surrogate_steps), batches, strict=False):
                outputs, labels = net(_inputs(poisoned[rows], texts.device)), texts.labels[rows].to(texts.device)
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(outputs, labels).backward()
                optimizer.step()
                right, total = right + int((outputs.argmax(1) == labels).sum()), total + len(rows)
            if right > self.stop_accuracy * total:
                break
            check_finite(net.eval())
            poisoned = clean.clone()
            for rows in parts:
                inputs = _inputs(clean[rows], texts.device)
                places, chosen = best_words(net, inputs, texts.labels[rows].to(texts.device), words)
                poisoned[rows, places.cpu()] = chosen.cpu()
        log.info("EM for texts: the surrogate ends with accuracy %.3f on the poisoned texts", right / total)
        return poisoned

    def _batches(self, texts: Texts) -> Iterator[Int64[Tensor, " b"]]:
        draws = texts.stream(1)
        while True:
            yield from torch.randperm(len(texts), generator=draws).split(self.train_batch_size)


def best_words(
    net: nn.Module,
    inputs: dict[str, Int64[Tensor, "b l"] | Bool[Tensor, "b l"]],
    labels: Int64[Tensor, " b"],
    words: Int64[Tensor, " w"],
) -> tuple[Int64[Tensor, " b"], Int64[Tensor, " b"]]:
    """Of each text the place p and the word w with the smallest e_w · ∂L/∂e_p."""
    embedding = next(module for module in net.modules() if isinstance(module, nn.Embedding))
    found: list[Float[Tensor, "b l d"]] = []
    handle = embedding.register_forward_hook(lambda module, arguments, output: found.append(output))  # noqa: ARG005
    try:
        loss = F.cross_entropy(net(inputs), labels, reduction="sum")
    finally:
        handle.remove()
    (gradient,) = torch.autograd.grad(loss, found)
    with torch.no_grad():
        values = gradient @ embedding.weight[words].T
        smallest, which = values.min(2)
        places = smallest.masked_fill(~inputs["mask"], torch.inf).argmin(1)
        return places, words[which.gather(1, places[:, None]).squeeze(1)]


def _inputs(ids: Int64[Tensor, "b l"], device: torch.device) -> dict[str, Tensor]:
    """A batch as networks take it, cut to its longest text."""
    longest = max(1, int((ids != 0).sum(1).max()))
    ids = ids[:, :longest].to(device)
    return {"ids": ids, "mask": ids != 0}
