"""Every configuration on disk composes, resolves and builds what it names."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from tests._inputs import ROOT, composed
from unlearnable import checks

CONF = ROOT / "conf"


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.mark.parametrize("name", options("experiment"))
def test_every_experiment_composes(name: str) -> None:
    config = composed(f"experiment={name}")
    if OmegaConf.is_missing(config.dataset, "data_dir"):
        config.dataset.data_dir = "somewhere"
    OmegaConf.to_container(config.sal, resolve=True)
    checks.check_values(config)


@pytest.mark.parametrize("name", options("logger"))
def test_every_logger_is_named(name: str) -> None:
    assert callable(instantiate(composed(f"logger={name}").logger, _partial_=True))


@pytest.mark.parametrize("name", options("callbacks"))
def test_every_set_of_callbacks_builds(name: str) -> None:
    instantiate(composed(f"callbacks={name}").callbacks)


@pytest.mark.parametrize("name", options("defense"))
def test_every_defence_builds(name: str) -> None:
    instantiate(composed(f"defense={name}").defense)


@pytest.mark.parametrize("name", options("sal"))
def test_every_solver_configuration_measures(name: str) -> None:
    import torch

    from unlearnable.identity import plain
    from unlearnable.measures.sal import measure_sal

    settings = {
        key: value
        for key, value in plain(composed(f"sal={name}", "steps=2").sal).items()
        if key not in ("samples", "split", "batch_size", "every_n_epochs")
    }
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    batches = [(torch.rand(8, 1, 2, 2), torch.arange(8) % 2)]
    assert len(measure_sal(net, torch.nn.functional.cross_entropy, batches, **settings).values) == 2


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_every_file_opens_with_a_comment_that_says_what_it_is(path: Path) -> None:
    assert path.read_text().lstrip().startswith("#")
