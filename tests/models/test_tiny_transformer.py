from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests._texts import many
from unlearnable.data.batches import Batches
from unlearnable.data.modality.tokens import Tokens
from unlearnable.measures.sal.definition import measure_sal
from unlearnable.models.tiny_transformer import TinyTransformer


def test_width_must_be_shared_out_over_the_heads() -> None:
    with pytest.raises(ValueError, match="`width` must be a multiple of `heads`; got 10 and 4"):
        TinyTransformer(2, width=10)


def test_words_of_other_places_matter_and_padding_does_not() -> None:
    torch.manual_seed(0)
    net = TinyTransformer(3, vocabulary=50, length=6).eval()
    ids = torch.tensor([[40, 41, 42, 0, 0, 0]])
    mask = ids > 0
    first = net({"ids": ids, "mask": mask})
    assert not torch.allclose(first, net({"ids": torch.tensor([[41, 40, 42, 0, 0, 0]]), "mask": mask}))
    torch.testing.assert_close(first, net({"ids": torch.tensor([[40, 41, 42, 9, 9, 9]]), "mask": mask}))


@pytest.mark.slow
def test_fast_sal_of_a_trained_transformer_is_near_the_best_found() -> None:
    samples = many(40)
    torch.manual_seed(0)
    net = TinyTransformer(2, vocabulary=len(samples.vocabulary), length=12, width=16, heads=2, dropout=0.0)
    batches = Batches(samples, Tokens(length=12), 40)
    inputs, targets = batches[0]
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(10):
        optimizer.zero_grad()
        F.cross_entropy(net(inputs), targets).backward()
        optimizer.step()
    found = {name: measure_sal(net, F.cross_entropy, batches, solver=name, steps=30) for name in ("fast", "pgd")}
    assert found["fast"].names[0] == "embed"
    assert len(found["fast"].names) == 10
    best = np.maximum(found["fast"].values, found["pgd"].values)
    above = best > 0.02
    assert above.any()
    assert (found["fast"].values[above] >= 0.98 * best[above]).all()
