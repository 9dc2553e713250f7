"""The last check before work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests._inputs import composed
from unlearnable import callbacks, checks
from unlearnable.experiment import load_data
from unlearnable.stages import Stages
from unlearnable.store import Store


def test_its_cheap_measurement_is_taken_where_training_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = composed("experiment=smoke", f"store.dir={tmp_path}")
    places = set[str]()

    def watched(measure: Any, module: Any, *rest: Any, **options: Any) -> None:
        places.update(parameter.device.type for parameter in module.net.parameters())

    monkeypatch.setattr(callbacks.measuring, "measure_module", watched)
    # A device that every machine has, and that is not the CPU: tensors on it have shapes alone.
    checks.check_model(Stages(config, Store(tmp_path), torch.device("meta")), load_data(config))
    assert places == {"meta"}


@pytest.mark.parametrize("option", ["check_val_every_n_epoch=4", "val_check_interval=0.3", "limit_val_batches=0"])
def test_a_training_whose_epochs_are_not_tested_is_refused(option: str) -> None:
    """Else the metrics of an earlier epoch would stand for those that were not tested."""
    with pytest.raises(ValueError, match="Each epoch is tested once, at its end"):
        checks.check_trainer(composed("experiment=smoke", f"+trainer.{option}"))
