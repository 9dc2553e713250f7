"""Replayed activations change nothing but the cost, whatever the model's code does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.sharpness._models import MultiHead, ResNet, Transformer, batched, images, multi_loss, seeded_model, trained
from unlearnable.measures.sal import measure_sal


class Tied(nn.Module):
    """The head reads the embedding's weights in its parent's code, not through a module."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(36, 4, bias=False)
        self.mix = nn.Linear(4, 36)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(F.linear(x.flatten(1), self.embed.weight))
        return self.embed(self.mix(hidden))


class Recurrent(nn.Module):
    """One module called again and again, as often as the data say."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.last = nn.Linear(36, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x.flatten(1))
        for _ in range(1 + int(x.abs().sum()) % 3):
            hidden = torch.relu(self.again(hidden))
        return self.last(hidden)


class Remembering(nn.Module):
    """Passes an activation on through an attribute, and changes it in place on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(36, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x.flatten(1))
        hidden.mul_(0.5)
        self.kept = hidden
        out = self.second(hidden)
        out += self.kept
        return self.last(F.relu(out, inplace=True))


class Sequenced(nn.Module):
    """Weights inside a fused operation: an LSTM and an attention whose output projection is never called as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.lstm = nn.LSTM(6, 6, batch_first=True)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.last = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden, _ = self.lstm(self.first(x[:, 0]))
        return self.last(self.attention(hidden, hidden, hidden)[0].mean(1))


def multi_data() -> tuple[Any, Any]:
    x, y = images(60)
    return {"image": x}, {"class": y, "depth": torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)}


@pytest.mark.parametrize("build", [ResNet, MultiHead, Transformer, Tied, Recurrent, Remembering, Sequenced])
def test_replay_gives_the_values_of_full_passes(build: Callable[[], nn.Module]) -> None:
    data, loss_fn = (multi_data(), multi_loss) if build is MultiHead else (images(60), F.cross_entropy)
    batches = batched(*data, 25)
    model = trained(seeded_model(build), loss_fn, batches, 10)
    options: dict[str, Any] = {"steps": 3, "both_sides": True, "layers": ["*"] if build is Sequenced else "weights"}
    replayed = measure_sal(model, loss_fn, batches, **options)
    full = measure_sal(model, loss_fn, batches, replay=False, **options)
    assert replayed.rise == pytest.approx(full.rise, rel=1e-4, abs=1e-7)
    assert replayed.fall == pytest.approx(full.fall, rel=1e-4, abs=1e-7)
    assert replayed.names == full.names


@pytest.mark.parametrize("build", [ResNet, Transformer])
def test_replay_saves_work_in_proportion_to_depth(build: Callable[[], nn.Module]) -> None:
    class Counter(nn.Module):
        samples = 0

        def forward(self, x: Tensor) -> Tensor:
            Counter.samples += len(x)
            return x

    model = nn.Sequential(Counter(), seeded_model(build))
    batches = [images(60)]
    counts = {}
    for replay in (True, False):
        Counter.samples = 0
        sal = measure_sal(model, F.cross_entropy, batches, steps=4, replay=replay)
        counts[replay] = (Counter.samples, sal.forwards)
    # With replay the modules before the first layer run once a pass; without, once for each layer's point.
    assert counts[True][0] < 0.5 * counts[False][0]
    assert counts[True][1] < counts[False][1]


def test_hidden_state_that_breaks_replay_is_noticed() -> None:
    # The second module reads how often the first was called in all: a replay, which skips that call, would be wrong.
    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.count = nn.Linear(36, 8), 0

        def forward(self, x: Tensor) -> Tensor:
            self.count += 1
            return self.layer(x)

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third = First(), nn.Linear(8, 8), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            before = self.first.count
            hidden = self.first(x.flatten(1))
            return self.third(self.second(hidden * (self.first.count - before)))

    model = seeded_model(Odd)
    batches = [images(40)]
    replayed = measure_sal(model, F.cross_entropy, batches, steps=3)
    full = measure_sal(model, F.cross_entropy, batches, steps=3, replay=False)
    assert replayed.values == pytest.approx(full.values, rel=1e-5)
