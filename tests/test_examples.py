"""The examples do what they say, in small."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import unlearnable
from tests._inputs import ROOT


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_own_trainer_measures_every_layer() -> None:
    assert {"sal/1", "sal/3"} == set(found := example("own_trainer").main(epochs=1, subset=120))  # the linear layers
    assert all(math.isfinite(value) and value > 0 for value in found.values())


def test_the_own_poison_is_handed_to_the_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, asked = example("own_poison"), []
    monkeypatch.setattr(unlearnable, "benchmark", lambda path, **options: asked.append((path, options)))
    monkeypatch.setattr(module, "in_words", str)
    module.main(tmp_path / "stamp.npy")
    assert asked == [(tmp_path / "stamp.npy", {"protocol": "digits-v1", "seeds": 3})]
    assert np.load(tmp_path / "stamp.npy").shape == (1400, 3, 16, 16)
