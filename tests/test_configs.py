"""Every configuration on disk composes, resolves and builds what it names."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from tests._inputs import ROOT, composed
from unlearnable import checks
from unlearnable.measures.base import Measure

CONF = ROOT / "conf"
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())
#: What the user must choose, for options that have no default.
CHOSEN = {"data_dir": "somewhere", "path": "somewhere", "name": "resnet10t"}


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def chosen(*overrides: str) -> DictConfig:
    """The configuration of these overrides, with something for every value that the user must give."""
    of_texts = any(override in ("dataset=reviews", "dataset=sst2", "dataset=text") for override in overrides)
    named = ["model.name=gpt2"] if "model=hf" in overrides else []
    config = composed(*overrides, *named, *(["poison=clean"] if of_texts else []))  # the default poison is for images
    for missing in sorted(OmegaConf.missing_keys(config)):
        OmegaConf.update(config, missing, CHOSEN[missing.rsplit(".", 1)[-1]])
    return config


def targets(node: Any) -> Iterator[str]:
    """Every `_target_` below a node."""
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "_target_")
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from targets(child)


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in GROUPS for name in options(group)])
def test_every_option_of_every_group_composes_and_names_what_is_there(group: str, name: str) -> None:
    config = chosen(f"{group}={name}")
    for target in targets(OmegaConf.to_container(config.get(group, config), resolve=True)):
        assert callable(get_object(target))
        module, _, attribute = target.rpartition(".")
        if module.startswith("unlearnable."):  # the module that defines it: what a key's digest of the code goes by
            assert getattr(importlib.import_module(module), attribute).__module__ == module


@pytest.mark.parametrize("name", options("experiment"))
def test_every_experiment_has_sensible_values(name: str) -> None:
    checks.check_values(chosen(f"experiment={name}"))


@pytest.mark.parametrize("name", options("model"))
def test_every_model_builds_by_the_smoke_protocol(name: str) -> None:
    model = chosen("experiment=smoke", f"model={name}").model
    instantiate(model.optimizer)(instantiate(model.net)(10).parameters())


@pytest.mark.parametrize("experiment", options("experiment"))
def test_the_model_of_an_experiment_builds_with_the_options_it_sets(experiment: str) -> None:
    model = chosen(f"experiment={experiment}").model
    instantiate(model.net)(10)


@pytest.mark.parametrize("name", options("poison"))
def test_every_poison_builds(name: str, tmp_path: Path) -> None:
    poison = chosen(f"poison={name}").poison
    if "path" in poison:
        (tmp_path / "0.png").touch()
        poison.path = str(tmp_path)
    instantiate({key: value for key, value in poison.items() if key not in ("task", "export")})


@pytest.mark.parametrize("name", options("dataset"))
def test_every_data_set_has_the_options_that_others_refer_to(name: str) -> None:
    dataset = chosen(f"dataset={name}").dataset
    of_images = set() if "vocabulary" in dataset else {"crop", "flip", "budget"}
    assert {"batch_size", "drop_last", "subset", "test_subset", "surrogate", *of_images} <= dataset.keys()
    instantiate(dataset.surrogate)(num_classes=10)
    if of_images:  # LSP's budget grows with the number of pixels, as ℓ2's does: 1.304 and 1 on CIFAR
        assert dataset.budget.lsp / dataset.budget.l2 == pytest.approx(1.304, rel=0.01)


def test_the_papers_protocol_drops_the_last_batch_and_keeps_pytorchs_initialisation() -> None:
    config = chosen("experiment=cifar10")
    assert config.dataset.drop_last
    assert config.model.net.init == "torch"


@pytest.mark.parametrize("name", options("logger"))
def test_every_logger_is_named(name: str) -> None:
    assert callable(instantiate(composed(f"logger={name}").logger, _partial_=True))


@pytest.mark.parametrize("name", options("callbacks"))
def test_every_set_of_callbacks_builds(name: str) -> None:
    instantiate(composed(f"callbacks={name}").callbacks)


@pytest.mark.parametrize("name", options("defense"))
def test_every_defence_builds(name: str) -> None:
    if name == "diffusion":  # needs a model: tests/defenses/test_diffusion.py
        return
    instantiate(composed(f"defense={name}").defense)


@pytest.mark.parametrize("name", options("sal"))
def test_every_way_to_measure_sal_builds(name: str) -> None:
    assert isinstance(instantiate(composed(f"sal={name}").sal), Measure)


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_every_file_opens_with_a_comment_that_says_what_it_is(path: Path) -> None:
    assert path.read_text().lstrip().startswith("#")


def test_the_published_measurement_takes_the_batches_of_training() -> None:
    assert chosen("sal=published").sal.batch_size == chosen("sal=published").dataset.batch_size == 128
    assert chosen("sal=published", "dataset.batch_size=32").sal.batch_size == 32
