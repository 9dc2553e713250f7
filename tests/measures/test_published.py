"""The published setting: the loader's batches, the running loss as origin, and what it is refused for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests._inputs import composed
from unlearnable.data.batches import LoaderBatches
from unlearnable.data.modality.pixels import Pixels
from unlearnable.data.samples import Samples
from unlearnable.experiment import run
from unlearnable.measures.base import Context
from unlearnable.measures.sal import measure_sal
from unlearnable.measures.sal.measure import SharpnessAwareLearnability
from unlearnable.measures.sal.solvers.fast import Fast
from unlearnable.measures.sal.solvers.reference import Reference
from unlearnable.tasks import Classification


def loader(**options: Any) -> LoaderBatches:
    """Ten samples whose pixels and class are their number, in batches of four."""
    numbers = torch.arange(10)
    images = numbers.to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()
    tasks = {"class": Classification("class", 10)}
    return LoaderBatches(Samples(images, numbers, tasks), Pixels(crop=2, flip=True), tasks, 4, seed=3, **options)


def one_pass(batches: LoaderBatches) -> tuple[list[int], Tensor]:
    found = list(batches)
    return [int(label) for _, labels in found for label in labels], torch.cat([inputs for inputs, _ in found])


def test_each_pass_has_its_own_order_and_images_and_leaves_out_an_incomplete_batch() -> None:
    batches = loader()
    (order, images), (other, moved) = one_pass(batches), one_pass(batches)
    assert (len(order), len({*order}), len({*other})) == (8, 8, 8)
    assert order != other
    assert not torch.equal(images, moved)
    again, same = one_pass(loader())
    assert again == order
    assert torch.equal(same, images)


def test_each_difference_to_a_fixed_probe_can_be_turned_off() -> None:
    order, images = one_pass(loader(shuffle=False, augment=False, drop_last=False))
    assert order == list(range(10))
    assert (255 * images[:, 0, 0, 0]).round().int().tolist() == order
    assert len(one_pass(loader(shuffle=False))[0]) == 8


def linear() -> tuple[nn.Module, list[tuple[Tensor, Tensor]]]:
    torch.manual_seed(0)
    return nn.Linear(5, 3), [(torch.randn(20, 5), torch.arange(20) % 3)]


def test_rise_and_fall_are_counted_from_the_running_loss() -> None:
    model, batches = linear()
    measure = SharpnessAwareLearnability(solver=Reference(), steps=3, origin="running")
    context = Context(2, lambda _: {}, running={"class": 4.0})
    found = measure.measure(model, {"class": F.cross_entropy}, batches, context)["class"]
    exact = measure_sal(model, F.cross_entropy, batches, solver="reference", steps=3)
    # Nothing near θ has a loss of 4: SAL is how far below it the lowest point lies.
    lowest = exact.loss - exact.fall[0]
    assert found.values[0] == pytest.approx(4 - lowest, rel=1e-5)
    assert found.details["rise"][0] == 0
    assert found.details["loss"] == pytest.approx(exact.loss)
    with pytest.raises(ValueError, match=r"needs the training loss of 'class'.*no task.*sal.origin=exact"):
        measure.measure(model, {"class": F.cross_entropy}, batches, Context(2, lambda _: {}))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"origin": "mean"}, r"`sal.origin` must be 'exact'.*'mean'"),
        ({"loader": True, "samples": 512}, r"on the whole training set: use sal=published; got.*512"),
        ({"loader": True, "samples": None, "solver": Fast()}, "got the solver 'fast'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SharpnessAwareLearnability(**{"solver": Reference(), **options})


def test_a_job_measures_in_the_published_setting_also_on_stored_weights(tmp_path: Path) -> None:
    def measured(store: str, sal: str) -> dict[str, Any]:
        settings = ("poison=clean", "sal.samples=null", "sal.batch_size=50", "steps=1", f"sal={sal}")
        config = composed("experiment=smoke", "logger=none", f"store.dir={tmp_path / store}", *settings)
        job = tmp_path / f"{store}-{sal}"
        job.mkdir()
        return run(config, folder=job)

    live = measured("one", "published")
    assert live["solver"] == "reference"
    assert live["distances"]["count_published"] == 1
    measured("two", "reference")
    revisited = measured("two", "published")
    assert "train" in revisited["reused"]
    assert revisited["sal"] == live["sal"]
