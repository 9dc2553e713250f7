"""The probe's batches: made once, cut by samples, and few waits for their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.probing._models import MultiHead, ResNet, accuracy, batched, images, multi_loss, seeded_model, trained
from unlearnable.measures.sal import measure_sal
from unlearnable.probing import passes
from unlearnable.probing.passes import Passes
from unlearnable.probing.probe import Probe

CPU = torch.device("cpu")


class Made(Sequence[Any]):
    """Batches that count how often each is made."""

    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches, self.made = batches, Counter[int]()

    def __getitem__(self, place: Any) -> Any:
        self.made[place] += 1
        x, y = self.batches[place]
        return x.clone(), y

    def __len__(self) -> int:
        return len(self.batches)


def test_batches_of_a_sequence_are_made_once_a_measurement() -> None:
    made = Made(batched(*images(), 16))
    measure_sal(seeded_model(ResNet), F.cross_entropy, made, steps=2)
    assert made.made == {0: 1, 1: 1, 2: 1}


def test_beyond_a_bound_batches_are_made_anew_and_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = batched(*images(), 16)
    expected = [(x.sum(), len(x)) for x, _ in batches]
    size = sum(tensor.nbytes for tensor in batches[0])
    monkeypatch.setattr(passes, "_ROOM", 2 * size + 1)
    made = Made(batches)
    probe = Passes(made, CPU)
    for _ in range(3):
        assert [(inputs.sum(), count) for inputs, _, count in probe] == expected
    assert made.made == {0: 1, 1: 1, 2: 3}


def test_other_iterables_are_asked_in_every_pass() -> None:
    class Drawn:
        asked = 0

        def __iter__(self) -> Iterator[Any]:
            self.asked += 1
            return iter(batched(*images(), 16))

    drawn = Drawn()
    probe = Passes(drawn, CPU)
    assert [size for *_, size in probe] == [size for *_, size in probe] == [16, 16, 16]
    assert drawn.asked == 3  # once to see that it can be asked again


@pytest.mark.parametrize("size", [7, 16, 48])
def test_the_head_of_a_probe_is_the_same_samples_however_they_are_batched(size: int) -> None:
    x, y = images(48)
    nested = Passes([({"image": a}, [b, {"same": b}]) for a, b in batched(x, y, size)], CPU)
    list(nested)
    head = nested.head(0.25, 8)
    assert head is not None
    found = list(head)
    assert head.samples == sum(count for *_, count in found) == 12
    assert torch.equal(torch.cat([inputs["image"] for inputs, *_ in found]), x[:12])
    assert torch.equal(torch.cat([targets[1]["same"] for _, targets, _ in found]), y[:12])


def test_batches_that_cannot_be_cut_are_taken_whole_or_not_at_all() -> None:
    x, y = images(48)

    def paired(size: int) -> Passes:
        found = Passes([((a, torch.ones(1)), b) for a, b in batched(x, y, size)], CPU)
        list(found)
        return found

    head = paired(8).head(0.25, 8)
    assert head is not None
    assert [size for *_, size in head] == [8, 8]  # 12 samples end in the second batch
    assert paired(24).head(0.25, 8) is not None
    assert paired(48).head(0.25, 8) is None
    assert paired(8).head(0.25, 13) is None


def test_the_size_of_batches_changes_no_sal() -> None:
    x, y = images(512)
    model = trained(seeded_model(ResNet), F.cross_entropy, batched(x, y, 128), 15, lr=0.1)
    small, one = (measure_sal(model, F.cross_entropy, batched(x, y, size)) for size in (128, 512))
    assert one.values == pytest.approx(small.values, rel=1e-4, abs=1e-6)
    assert one.forwards == pytest.approx(small.forwards, rel=0.05)
    assert one.corrections.tolist() == small.corrections.tolist()


class Waits(TorchFunctionMode):
    """Counts how often Python code asks for a number that a GPU would have to finish its work for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.operations = _Operations(self)

    def __enter__(self) -> Waits:
        super().__enter__()
        self.operations.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.operations.__exit__(*error)
        super().__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Numbers one at a time go through an operation, see there; these do not.
        self.count += func in (Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__array__)
        return func(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):
    def __init__(self, waits: Waits) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        told = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}  # `item`, `equal`, `nonzero` …
        by_mask = func is torch.ops.aten.index.Tensor and any(i is not None and i.dtype is torch.bool for i in args[1])
        self.waits.count += by_mask or (func is not torch.ops.aten.index.Tensor and not told.isdisjoint(func.tags))
        return func(*args, **(kwargs or {}))


def test_waits_are_seen() -> None:
    x = torch.arange(3.0)
    with Waits() as waits:
        float(x[0]), bool(x[1]), x.tolist(), torch.equal(x, x + 1), x[x > 0], x.nonzero(), x.numpy()
    assert waits.count == 7
    with Waits() as waits:
        (x + 1).sum(), x[torch.tensor([1, 2])], x.norm(), x.isfinite().all()
    assert waits.count == 0


@pytest.mark.parametrize(
    ("solver", "build"), [("fast", ResNet), ("fast", MultiHead), ("pgd", ResNet), ("reference", ResNet)]
)
def test_python_waits_for_at_most_three_numbers_a_pass(
    build: type[ResNet], solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = images(160)
    several = build is MultiHead
    depth = torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)
    inputs, targets = ({"image": x}, {"class": y, "depth": depth}) if several else (x, y)
    loss_fn = multi_loss if several else F.cross_entropy
    model = trained(seeded_model(build), loss_fn, batched(inputs, targets, 80), 5)
    gone, whole = list[int](), Probe.passes
    monkeypatch.setattr(Probe, "passes", lambda self, **options: gone.append(1) or whole(self, **options))
    with Waits() as waits:
        sal = measure_sal(
            model,
            loss_fn,
            batched(inputs, targets, 80),
            solver=solver,
            steps=4 if solver == "fast" else 1,
            accuracy_fn=None if several else accuracy,
        )
    # Replays are checked once a layer; the weights' norms, the loss's floor and the buffers once.
    assert waits.count <= 3 * len(gone) + len(sal.names) + 6
