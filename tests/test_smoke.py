"""Every poison, defence and model of the groups goes the whole way by the smoke protocol."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from tests._inputs import composed
from tests.test_configs import options
from unlearnable.experiment import run

#: Minutes on one core, or nearly.
SLOW_POISONS = ("dc", "em_multi", "em_text", "flat", "hypo", "pue", "rem", "sem", "sep")
SLOW_DEFENSES = ("adversarial", "ueraser_max")
SLOW_MODELS = ("densenet121", "mobilenet_v2", "resnet18", "resnet50", "senet18", "vit_small", "vit_tiny")
TEXT_DEFENSES = ("no_signs", "rare_words", "word_dropout")
TEXT_POISONS = ("em_text", "random_words", "regtext", "symbol")
#: What single options need besides.
NEEDED = {
    "densenet121": ("sal.layers=[features.denseblock1*,classifier]",),  # of 121 layers
    "em_multi": (
        "dataset=rooms",
        "dataset.frames=48",
        "task=multi",
        "dataset.batch_size=8",
        "sal.samples=8",
        "poison.max_rounds=1",
    ),
    "mtl_ue": ("poison.epochs=1", "poison.width=4"),
    "hf": ("dataset=reviews", "poison=symbol", "model.name=gpt2"),
    "timm": ("model.name=test_resnet",),
    "tiny_gpt": ("dataset=reviews", "poison=symbol", "task=next_token"),
    "tiny_transformer": ("dataset=reviews", "poison=symbol"),
    **dict.fromkeys(TEXT_POISONS, ("dataset=reviews", "model=tiny_transformer", "sal.samples=20", "steps=1")),
}


def marked(names: list[str], slow: tuple[str, ...]) -> list[object]:
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in names]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store, so that the clean reference is trained once."""
    return tmp_path_factory.mktemp("store")


def smoke(store: Path, folder: Path, *overrides: str) -> None:
    """Runs a job and looks at what cannot be missing."""
    subsets = ("dataset.subset=null", "dataset.test_subset=null") if "dataset=rooms" in overrides else ()
    config = composed("experiment=smoke", "logger=none", f"store.dir={store}", *subsets, *overrides)
    result = run(config, folder=folder)
    assert len(result["epochs"]) == 2
    for figures in (result.get("tasks") or {"": result}).values():
        assert all(math.isfinite(value) for row in figures["sal"] for value in row)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("poison", marked([name for name in options("poison") if name != "folder"], SLOW_POISONS))
def test_every_poison_runs(poison: str, store: Path, tmp_path: Path) -> None:
    smoke(store, tmp_path, f"poison={poison}", *NEEDED.get(poison, ()))


def test_an_imported_poison_runs(store: Path, tmp_path: Path) -> None:
    torch.save(torch.full((10, 3, 16, 16), 0.1), tmp_path / "perturbation.pt")
    smoke(store, tmp_path, "poison=folder", f"poison.path={tmp_path}/perturbation.pt")


@pytest.mark.parametrize("defense", marked([name for name in options("defense") if name != "diffusion"], SLOW_DEFENSES))
def test_every_defence_runs(defense: str, store: Path, tmp_path: Path) -> None:
    of = NEEDED["tiny_transformer"] if defense in TEXT_DEFENSES else ("poison=lsp",)
    shorter = ("defense.epochs=2",) if defense == "dvae" else ()
    model = ("model=tiny_transformer",) if defense in TEXT_DEFENSES else ()
    smoke(store, tmp_path, f"defense={defense}", "sal.samples=20", "steps=1", *of, *model, *shorter)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("model", marked(options("model"), SLOW_MODELS))
def test_every_model_runs(model: str, store: Path, tmp_path: Path) -> None:
    smoke(store, tmp_path, f"model={model}", "poison=ops", "sal.samples=20", "steps=1", *NEEDED.get(model, ()))


@pytest.mark.parametrize("sal", options("sal"))
def test_every_solver_runs(sal: str, store: Path, tmp_path: Path) -> None:
    samples = "null" if sal == "published" else "20"  # which is of the whole training set
    smoke(store, tmp_path, f"sal={sal}", "poison=ops", f"sal.samples={samples}", "steps=1")
