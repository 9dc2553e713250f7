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
