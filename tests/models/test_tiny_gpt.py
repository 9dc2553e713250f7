from __future__ import annotations

import torch

from unlearnable.models.tiny_gpt import TinyGPT


def test_scores_depend_on_the_words_before_alone() -> None:
    torch.manual_seed(0)
    net = TinyGPT(50, vocabulary=50, length=6).eval()
    ids = torch.tensor([[40, 41, 42, 43, 0]])
    scores = net({"ids": ids, "mask": ids > 0})
    assert scores.shape == (1, 5, 50)
    other = net({"ids": torch.tensor([[40, 41, 9, 43, 9]]), "mask": ids > 0})
    torch.testing.assert_close(scores[:, :2], other[:, :2])
    assert not torch.allclose(scores[:, 2], other[:, 2])
    assert not torch.allclose(scores[:, 3], other[:, 3])
