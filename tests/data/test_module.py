"""What every data module does: batches, probes, augmentation, and the checks of options, targets and nets."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.testing import assert_close
from typing_extensions import override

from tests._inputs import seeded
from unlearnable.data.batches import EpochBatches
from unlearnable.data.digits import Digits
from unlearnable.data.modality.base import Modality
from unlearnable.data.module import DataModule, ImageDataModule
from unlearnable.data.samples import Inputs, Samples
from unlearnable.models.module import single_task
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.tasks import Classification, Depth


def test_digits_are_real_eight_bit_images_in_a_stratified_split() -> None:
    digits = Digits()
    assert (digits.train.inputs.shape, digits.test.inputs.shape) == ((1400, 3, 16, 16), (397, 3, 16, 16))
    assert digits.train.inputs.dtype == torch.uint8
    assert digits.train.inputs.amax() == 255
    shares = digits.train.labels.bincount() / torch.cat([digits.train.labels, digits.test.labels]).bincount()
    assert_close(shares, torch.full((10,), 1400 / 1797), atol=0.01, rtol=0)


def test_split_and_subset_do_not_depend_on_the_seed() -> None:
    one, other = Digits(subset=100, seed=0), Digits(subset=100, seed=1)
    assert one.train.fingerprint == other.train.fingerprint


def test_train_and_test_share_no_row() -> None:
    digits = Digits()
    train = {row.numpy().tobytes() for row in digits.train.inputs}
    assert sum(row.numpy().tobytes() in train for row in digits.test.inputs) == 0


def test_the_training_loader_shuffles_anew_each_epoch_and_covers_every_row() -> None:
    batches = EpochBatches(10, 4, seed=0, shuffle=True)
    first = [row for batch in batches for row in batch]
    batches.set_epoch(1)
    second = [row for batch in batches for row in batch]
    batches.set_epoch(0)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second != list(range(10))
    assert first == [row for batch in batches for row in batch]
    assert [len(batch) for batch in batches] == [4, 4, 2] == [4] * (len(batches) - 1) + [2]


def test_the_probe_is_fixed_and_scaled_and_its_batches_cover_it() -> None:
    probe = Digits().probe(100, batch_size=64)
    first, second = list(probe), list(probe)
    assert [len(images) for images, _ in first] == [64, 36] == [len(images) for images, _ in second]
    assert_close(first[0][0], second[0][0])
    assert first[0][0].dtype == torch.float32
    assert first[0][0].amax() == 1


def test_poisoned_changes_training_images_alone() -> None:
    digits = Digits(subset=50)
    poisoned = digits.poisoned(digits.train.replace(inputs=digits.train.inputs // 2))
    assert poisoned.train.fingerprint != digits.train.fingerprint
    assert poisoned.test.fingerprint == digits.test.fingerprint
    assert torch.equal(poisoned.train.labels, digits.train.labels)


def test_an_incomplete_last_batch_is_dropped_on_request() -> None:
    batches = EpochBatches(10, 4, seed=0, shuffle=True, drop_last=True)
    assert [len(batch) for batch in batches] == [4, 4]
    assert len(batches) == 2
    assert [len(batch) for batch in EpochBatches(8, 4, seed=0, shuffle=False, drop_last=True)] == [4, 4]
    dropped = Digits(subset=10, batch_size=4, drop_last=True)
    assert len(dropped.train_dataloader()) == 2
    assert dropped.protocol != Digits(subset=10, batch_size=4).protocol


class Given(ImageDataModule):
    """The samples that it is given."""

    class_names = ("a", "b")

    def __init__(self, train: Samples, test: Samples | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.given = (train, test or train)

    @override
    def load(self) -> tuple[Samples, Samples]:
        return self.given


def images(count: int, channels: int = 3, size: int = 8) -> torch.Tensor:
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=seeded(0))


def test_one_classification_needs_no_tasks_of_its_own() -> None:
    data = Given(Samples(images(4), torch.tensor([0, 1, 0, 1])))
    assert data.tasks == {"class": Classification("class", 2)} == data.test.tasks


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (torch.tensor([0, 1, -1]), "label -1"),
        (torch.tensor([0, 2, 1]), "label 2"),
        (torch.tensor([0.0, 1.0, float("nan")]), "whole numbers"),
    ],
)
@pytest.mark.parametrize("split", ["training", "test"])
def test_every_label_of_both_splits_is_checked(labels: torch.Tensor, said: str, split: str) -> None:
    good, bad = Samples(images(3), torch.tensor([0, 1, 0])), Samples(images(3), labels)
    with pytest.raises(ValueError, match=rf"(?i)the {split} .*{said}"):
        Given(*((bad, good) if split == "training" else (good, bad))).setup()


def test_labels_of_several_tasks_may_be_missing_but_not_out_of_range() -> None:
    tasks = {"c": Classification("c", 2), "d": Depth("d", 1)}
    depth = torch.ones(3, 1, 8, 8)
    Given(Samples(images(3), {"c": torch.tensor([0, -1, 1]), "d": depth}, tasks)).setup()
    with pytest.raises(ValueError, match=r"label 2 for task 'c' \(sample 1.*from 0 to 1, with −1 where there is none"):
        Given(Samples(images(3), {"c": torch.tensor([0, 2, 1]), "d": depth}, tasks)).setup()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 0}, r"`dataset\.batch_size` must be a whole number, at least 1; got 0"),
        ({"batch_size": 2.5}, r"`dataset\.batch_size` must be a whole number, at least 1; got 2\.5"),
        ({"batch_size": True}, r"got True"),
        ({"subset": "many"}, r"`dataset\.subset` must be a whole number, at least 1; got 'many'"),
        ({"test_subset": 0}, r"`dataset\.test_subset`"),
        ({"crop": -1}, r"`dataset\.crop` must be a padding in whole pixels, at least 0; got -1"),
        ({"crop": "4"}, r"`dataset\.crop`.*got '4'"),
    ],
)
def test_numbers_are_checked_for_their_type(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Digits(**options)


def test_a_whole_number_may_be_written_with_an_exponent() -> None:
    assert len(Digits(subset=1e2, test_subset=5e1).train) == 100


def test_a_last_batch_of_one_is_refused_only_where_batchnorm_can_not_take_it() -> None:
    data = Digits(subset=9, batch_size=4)
    deep = partial(nn.Sequential, nn.AvgPool2d(16), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 10))
    with pytest.raises(ValueError, match=r"last batch of the 9 .* is a single one.*dataset\.drop_last=true or another"):
        data.check(deep())
    data.check(tiny_resnet(10, width=4))  # its feature maps are never 1×1 here
    data.check(nn.Sequential(nn.Flatten(), nn.Linear(768, 10)))
    Digits(subset=9, batch_size=4, drop_last=True).check(deep())
    Digits(subset=10, batch_size=4).check(deep())
    with pytest.raises(ValueError, match="is a single one"):
        Digits(subset=8, batch_size=1, drop_last=True).check(deep())


def test_checking_a_net_leaves_it_and_the_random_state_alone() -> None:
    net = tiny_resnet(10, width=4)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    Digits(subset=9, batch_size=4).check(net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_no_whole_batch_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="the 9 training samples make no whole batch of 16"):
        Digits(subset=9, batch_size=16, drop_last=True).check(tiny_resnet(10, width=4))


class Words(Modality):
    """Token ids with their mask: what no line outside `modality/pixels.py` may take for images."""

    name = "words"

    @override
    def to_model(self, inputs: Inputs) -> Any:
        assert not isinstance(inputs, torch.Tensor)
        return {name: tensor.long() for name, tensor in inputs.items()}

    @override
    def describe(self, clean: Samples, poisoned: Samples) -> dict[str, Any]:
        return {}

    @override
    def write(self, folder: Path, inputs: Inputs) -> None: ...

    @override
    def read(self, folder: Path) -> Inputs: ...  # type: ignore[empty-body]


class Sentences(DataModule):
    """Two classes of three tokens each."""

    class_names = ("left", "right")

    def __init__(self) -> None:
        super().__init__(modality=Words(), batch_size=4)

    @override
    def load(self) -> tuple[Samples, Samples]:
        labels = torch.arange(12) % 2
        ids = (torch.arange(36).view(12, 3) % 3 + 3 * labels[:, None]).to(torch.int32)
        samples = Samples({"ids": ids, "mask": torch.ones_like(ids)}, labels)
        return samples, samples


class Bag(nn.Module):
    """A mean of embeddings."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(6, 8), nn.Linear(8, classes)

    @override
    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.head((self.embed(inputs["ids"]) * inputs["mask"][..., None]).mean(1))


def test_inputs_that_are_no_images_train_a_model() -> None:
    data = Sentences()
    module = single_task(Bag, data.tasks, optimizer=partial(torch.optim.Adam, lr=0.1))
    trainer = Trainer(
        max_epochs=5,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data)
    assert trainer.callback_metrics["test/acc"] == 1
    assert [len(targets) for _, targets in data.probe(6, batch_size=4)] == [4, 2]
