"""Replayed activations change nothing but the cost, whatever the model's code does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.probing._models import MultiHead, ResNet, Transformer, batched, images, multi_loss, seeded_model, trained
from unlearnable.measures.sal import measure_sal
from unlearnable.probing.layers import select_layers
from unlearnable.probing.replay import Replay


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


class Backbone(nn.Module):
    """Three stages; ``keep`` says what each does with its output besides handing it on."""

    def __init__(self, keep: Callable[[int, Tensor], None]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Linear(width, 8) for width in (36, 8, 8))
        self.keep = keep

    def forward(self, x: Tensor) -> Tensor:
        hidden = x.flatten(1)
        for number, stage in enumerate(self.stages):
            hidden = torch.tanh(stage(hidden))
            self.keep(number, hidden)
        return hidden


class Beside(nn.Module):
    """A head that reads what the backbone left beside its outputs, by the channel of a subclass."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.middle, self.head = Backbone(self.keep), nn.Linear(8, 8), nn.Linear(16, 4)

    def keep(self, number: int, hidden: Tensor) -> None:
        raise NotImplementedError

    def kept(self) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        out = self.middle(self.backbone(x))
        return self.head(torch.cat([torch.relu(out), self.kept()], 1))


class ByHook(Beside):
    """Forward hooks put features into a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.features: dict[str, Tensor] = {}
        for name, stage in self.backbone.stages.named_children():
            stage.register_forward_hook(lambda module, inputs, output, name=name: self.features.update({name: output}))

    def keep(self, number: int, hidden: Tensor) -> None:
        pass

    def kept(self) -> Tensor:
        return 5 * self.features["1"]


class ByHookOnLast(ByHook):
    """As above; what is read is the very tensor that the backbone returns."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone.keep = lambda number, hidden: self.features.update({"1": hidden})


class ByAttribute(Beside):
    def keep(self, number: int, hidden: Tensor) -> None:
        if number == 1:
            self.cache = hidden.detach() if not hidden.requires_grad else hidden

    def kept(self) -> Tensor:
        return 5 * self.cache


class ByClosure(Beside):
    def __init__(self) -> None:
        super().__init__()
        cell: Tensor | None = None

        def put(number: int, hidden: Tensor) -> None:
            nonlocal cell
            cell = hidden if number == 1 else cell

        self.backbone.keep = put
        self.kept = lambda: 5 * cell  # type: ignore[method-assign]


class ByList(Beside):
    """A list that grows over all passes."""

    def __init__(self) -> None:
        super().__init__()
        self.list: list[Tensor] = []

    def keep(self, number: int, hidden: Tensor) -> None:
        self.list.append(hidden)

    def kept(self) -> Tensor:
        return 5 * self.list[-2]


class ByClearedList(ByList):
    """A list that every pass begins anew: where modules are skipped, it is too short."""

    def forward(self, x: Tensor) -> Tensor:
        self.list.clear()
        return super().forward(x)


class ByObject(Beside):
    """A container of a class of its own."""

    class Box:
        __slots__ = ("content",)

    def __init__(self) -> None:
        super().__init__()
        self.box = self.Box()

    def keep(self, number: int, hidden: Tensor) -> None:
        if number == 1:
            self.box.content = [{"deep": hidden.clone()}]

    def kept(self) -> Tensor:
        return 5 * self.box.content[0]["deep"]


class ByBuffer(Beside):
    """A tensor that is there all the time and changed in place."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("memory", torch.zeros(64, 8))

    def keep(self, number: int, hidden: Tensor) -> None:
        if number == 1:
            with torch.no_grad():
                self.memory[: len(hidden)] = hidden.detach()  # type: ignore[index, operator]

    def kept(self) -> Tensor:
        count = len(self.backbone.last)
        return 5 * self.memory[:count]  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        self.backbone.last = x
        return super().forward(x)


class ByNumber(Beside):
    """A Python number that was read off an activation."""

    def keep(self, number: int, hidden: Tensor) -> None:
        if number == 2:
            self.number = hidden.std().item()

    def kept(self) -> Tensor:
        return 20 * self.number * torch.ones(self.batch, 8)

    def forward(self, x: Tensor) -> Tensor:
        self.batch = len(x)
        return super().forward(x)


class ByNumpy(ByNumber):
    def keep(self, number: int, hidden: Tensor) -> None:
        if number == 2:
            self.number = float(hidden.detach().numpy().std())


class ByCounter(ByNumber):
    """Counts calls: no operation shows it."""

    def keep(self, number: int, hidden: Tensor) -> None:
        self.number += 0.1

    def forward(self, x: Tensor) -> Tensor:
        self.number = 0.0
        return super().forward(x)


@dataclass
class Features:
    """What a module may return that is no container which anyone knows."""

    last: Tensor
    early: Tensor


class ByDataclass(nn.Module):
    """Activations in a dataclass, changed in place by their reader."""

    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.early, self.late = nn.Linear(36, 8), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Features:
            early = self.early(x.flatten(1))
            return Features(self.late(torch.tanh(early)), early)

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.head = self.First(), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        features = self.first(x)
        out = self.middle(features.last)
        features.early.data.mul_(3)  # leaves no mark on the tensor's version
        return self.head(torch.relu(out) + features.early)


class InPlace(nn.Module):
    """A block whose in-place activation changes what its shortcut reads afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(36, 8), nn.Linear(8, 8), nn.Linear(8, 4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x.flatten(1))
        return self.last(self.second(self.relu(hidden)) + hidden)


class InPlaceOnCache(Beside):
    """A cached tensor that its readers change in place."""

    def keep(self, number: int, hidden: Tensor) -> None:
        if number == 1:
            self.cache = hidden.clone()

    def kept(self) -> Tensor:
        return self.cache.mul_(5)


class Adding(nn.Module):
    """A list that one module returns and its caller adds to."""

    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(36, 8)

        def forward(self, x: Tensor) -> list[Tensor]:
            return [self.layer(x.flatten(1))]

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = self.First(), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        features = self.first(x)
        features.append(self.second(features[0]))
        return self.last(torch.stack(features).sum(0))


class Choosing(ByHook):
    """Reads what was left beside outputs only where weights say so, which at θ they do not."""

    limit = float("inf")

    def kept(self) -> Tensor:
        there = float(self.middle.weight.detach().norm()) > self.limit
        return 5 * self.features["2"] if there else torch.zeros(1).expand(len(self.x), 8)

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        return super().forward(x)


class Attached(Beside):
    """A tensor that hangs on the output as an attribute of it."""

    def keep(self, number: int, hidden: Tensor) -> None:
        if number == 1:
            self.early = hidden
        if number == 2:
            hidden.early = self.early  # type: ignore[attr-defined]

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.backbone(x)
        early = hidden.early  # type: ignore[attr-defined]
        return self.head(torch.cat([torch.relu(self.middle(hidden)), 5 * early], 1))


class ByGenerator(nn.Module):
    """Activations that a module gives out one by one."""

    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stages = nn.ModuleList(nn.Linear(width, 8) for width in (36, 8, 8))

        def forward(self, x: Tensor) -> Iterator[Tensor]:
            hidden = x.flatten(1)
            for stage in self.stages:
                hidden = torch.tanh(stage(hidden))
                yield hidden

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.head = self.First(), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        *_, early, late = self.first(x)
        return self.head(torch.relu(self.middle(late)) + 5 * early)


class ByArgument(nn.Module):
    """A module that changes its argument in place, which its caller reads afterwards."""

    class Second(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(self.layer(x.mul_(2).add_(1)))

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.middle, self.head = (
            nn.Linear(36, 8),
            self.Second(),
            nn.Linear(8, 8),
            nn.Linear(8, 4),
        )

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x.flatten(1))
        return self.head(torch.relu(self.middle(self.second(hidden))) + hidden)


CHANNELS = [
    ByGenerator,
    ByArgument,
    ByHook,
    ByHookOnLast,
    ByAttribute,
    ByClosure,
    ByList,
    ByClearedList,
    ByObject,
    ByBuffer,
    ByNumber,
    ByNumpy,
    ByCounter,
    ByDataclass,
    InPlace,
    InPlaceOnCache,
    Adding,
    Attached,
]


@pytest.mark.parametrize("build", CHANNELS)
def test_what_modules_leave_beside_their_outputs_is_never_stale(build: Callable[[], nn.Module]) -> None:
    batches = batched(*images(60), 25)
    model = trained(seeded_model(build), F.cross_entropy, batches, 10)
    options: dict[str, Any] = {"steps": 3, "both_sides": True, "eps": 0.2}
    full = measure_sal(model, F.cross_entropy, batches, replay=False, **options)
    replayed = measure_sal(model, F.cross_entropy, batches, **options)
    assert replayed.rise == pytest.approx(full.rise, rel=1e-4, abs=1e-7)
    assert replayed.fall == pytest.approx(full.fall, rel=1e-4, abs=1e-7)


def test_a_loss_that_reads_what_modules_left_is_never_given_another_pass_s() -> None:
    model = ByHook()
    model.load_state_dict(seeded_model(ByHook).state_dict())
    batches = batched(*images(60), 25)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets) + model.features["2"].square().mean()

    full, replayed = (
        measure_sal(model, loss_fn, batches, replay=replay, steps=3, eps=0.2, both_sides=True)
        for replay in (False, True)
    )
    assert replayed.rise == pytest.approx(full.rise, rel=1e-4, abs=1e-7)
    assert replayed.fall == pytest.approx(full.fall, rel=1e-4, abs=1e-7)


def test_outputs_that_can_not_be_compared_are_not_replayed() -> None:
    class Boxed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = seeded_model(ResNet)

        def forward(self, x: Tensor) -> Features:
            return Features(self.net(x), x)

    def loss_fn(outputs: Features, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.last, targets)

    full, replayed = (measure_sal(Boxed(), loss_fn, [images(40)], replay=replay, steps=3) for replay in (False, True))
    assert replayed.values == pytest.approx(full.values, rel=1e-6)
    assert replayed.forwards == full.forwards


@pytest.mark.parametrize("build", [ResNet, MultiHead, Transformer, ByHook, ByDataclass, InPlace])
def test_nets_that_leave_things_beside_their_outputs_are_still_replayed_where_they_are_clean(
    build: Callable[[], nn.Module],
) -> None:
    (inputs, targets), loss_fn = (multi_data(), multi_loss) if build is MultiHead else (images(8), F.cross_entropy)
    model = seeded_model(build).eval()
    layers = select_layers(model)
    replay = Replay(model, layers)
    with replay.installed():
        replay.prepare(inputs, lambda outputs: loss_fn(outputs, targets))
    costs = [replay.cost(layer) for layer in layers]
    assert all(replay.enabled.values())
    assert costs[0] == 1
    assert costs[-1] < 0.5


def test_a_path_that_turns_on_perturbed_numbers_gets_full_passes() -> None:
    model = Choosing()
    model.load_state_dict(seeded_model(Choosing).state_dict())
    model.limit = 1.001 * float(model.middle.weight.detach().norm())
    batches = batched(*images(60), 25)
    full, replayed = (
        measure_sal(model, F.cross_entropy, batches, replay=replay, steps=3, eps=0.2, both_sides=True)
        for replay in (False, True)
    )
    assert replayed.rise == pytest.approx(full.rise, rel=1e-4, abs=1e-7)
    assert replayed.fall == pytest.approx(full.fall, rel=1e-4, abs=1e-7)
