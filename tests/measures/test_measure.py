"""Measures as the configuration builds them, and SAL as one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch.nn.functional as F
from hydra.utils import instantiate
from torch import nn

from tests._inputs import ROOT, composed
from tests.probing._models import ResNet, images, seeded_model
from unlearnable.measures.base import Context, Measure, Measured
from unlearnable.measures.sal import measure_sal
from unlearnable.measures.sal.measure import SharpnessAwareLearnability
from unlearnable.measures.sal.solvers.fast import Fast

SOLVERS = sorted(path.stem for path in (ROOT / "conf" / "sal").glob("*.yaml"))
OTHERS = sorted(path.stem for path in (ROOT / "conf" / "measure").glob("*.yaml"))


def context(model: nn.Module, **more: Any) -> Context:
    return Context(1, lambda epoch: model.state_dict(), **more)


def test_sal_of_each_task_is_measured_on_its_part_and_survives_the_store() -> None:
    model = seeded_model(ResNet)
    trunk = nn.Sequential(model.conv1, nn.Flatten())  # type: ignore[arg-type]
    losses = {"class": F.cross_entropy, "size": lambda outputs, targets: outputs.square().mean()}
    measure = SharpnessAwareLearnability(solver=Fast(tol=0.1, both_sides=True), eps=0.1, steps=3)
    found = measure.measure(model, losses, [images(20)], context(model, parts={"size": trunk}))
    assert {task: len(one.names) for task, one in found.items()} == {"class": 6, "size": 1}
    expected = measure_sal(model, F.cross_entropy, [images(20)], eps=0.1, steps=3, tol=0.1, both_sides=True)
    one = Measured.from_dict(found["class"].to_dict())
    assert one.names == expected.names
    assert one.values.tolist() == expected.values.tolist()
    for name in ("rise", "fall", "settled", "weights", "corrections"):
        assert one.details[name].tolist() == getattr(expected, name).tolist()
    for name in ("loss", "eps", "steps", "solver", "samples", "forwards"):
        assert one.details[name] == getattr(expected, name)


def test_numbers_that_are_none_come_back_as_nan() -> None:
    stored = Measured(
        ("a", "b"), np.array([1.0, np.nan]), {"loss": np.nan, "word": "w", "flags": np.array([True, False])}
    )
    again = Measured.from_dict(stored.to_dict())
    assert np.isnan(again.values[1])
    assert np.isnan(again.details["loss"])
    assert again.details["word"] == "w"
    assert again.details["flags"].dtype == bool


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"eps": -1.0}, "`eps` must be"),
        ({"steps": 0}, "`steps` must be"),
        ({"norm": "l1"}, "`norm` must be one of"),
        ({"radius": "big"}, "`radius` must be one of"),
        ({"samples": 0}, "`sal.samples` must be"),
    ],
)
def test_wrong_arguments_fail_in_the_constructor(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SharpnessAwareLearnability(solver=Fast(), **options)


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_s_configuration_builds_and_measures(name: str) -> None:
    model = seeded_model(ResNet)
    solver = {"published": "reference"}.get(name, name)  # a setting of that solver
    measure = instantiate(composed(f"sal={name}", "eps=0.1", "steps=2").sal)
    assert (measure.name, measure.solver.name, measure.eps, measure.steps) == ("sal", solver, 0.1, 2)
    found = measure.cheap().measure(model, {"class": F.cross_entropy}, [images(8)], context(model))
    assert found["class"].details["solver"] == solver
    assert found["class"].details["steps"] == 1


@pytest.mark.parametrize("name", OTHERS)
def test_every_measure_s_configuration_builds_with_the_probe_of_sal(name: str) -> None:
    if name == "hessian_trace":
        pytest.importorskip("hessian_eigenthings")
    config = composed(f"measure=[{name}]", "sal.samples=64", "sal.every_n_epochs=3")
    assert list(config.measure) == [name]
    measure: Measure = instantiate(config.measure[name])
    assert measure.name == name
    assert (measure.samples, measure.split, measure.batch_size, measure.every_n_epochs) == (64, "train", 128, 3)


def test_measures_are_chosen_together_and_have_options_of_their_own() -> None:
    config = composed("measure=[hessian_trace,criticality]", "measure.hessian_trace.samples=32")
    assert list(config.measure) == ["hessian_trace", "criticality"]
    assert config.measure.hessian_trace.samples == 32
    assert config.measure.criticality.samples == config.sal.samples
    assert config.measure.criticality.layers == config.sal.layers
