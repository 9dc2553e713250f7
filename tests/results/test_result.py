"""`result.json` from measured runs that are made by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from unlearnable.callbacks.trajectory import Epoch
from unlearnable.distances import DISTANCES
from unlearnable.measures.base import Measured
from unlearnable.measures.conflict import sal_conflict
from unlearnable.results.result import make_result
from unlearnable.results.run import MeasuredRun
from unlearnable.tasks import Classification, Depth, Task

LAYERS = ("conv", "fc")
#: Every epoch's centres are 1 and 3, so β = 2: one learnable layer of two.
CLEAN = [[1.0, 3.0], [3.0, 1.0], [1.0, 3.0]]


@dataclass(frozen=True)
class Poison:
    seconds: float = 5.0
    reused: bool = True
    key: str | None = "p"


def run(
    sal: Sequence[Sequence[float]] = CLEAN,
    *,
    name: str = "t",
    tasks: Mapping[str, Task] | None = None,
    epochs: Sequence[int] | None = None,
    more: Mapping[str, Any] | None = None,
) -> MeasuredRun:
    """A run whose SAL is the same for all tasks."""
    tasks = tasks or {"class": Classification("class", 10)}
    chosen = epochs or range(1, len(sal) + 1)
    measured = {
        epoch: {
            task: Measured(LAYERS, np.array(row), {"solver": "fast", "weights": np.array([10, 30]), "loss": 0.5})
            for task in [*tasks, *(["joint"] if len(tasks) > 1 else [])]
        }
        for epoch, row in zip(chosen, sal, strict=True)
    }
    metrics = {"train/acc": 0.9, "test/acc": 0.2, "test/depth/rmse": 2.0, "test/class/acc": 0.5}
    return MeasuredRun(
        epochs=[Epoch(metrics, seconds=1.0) for _ in range(max(chosen))],
        measured={"sal": measured, **(more or {})},
        tasks=tasks,
        seconds={"train": 3.0, "sal": 2.0},
        reused=["train"],
        keys={"trajectory": name, "measure": {"sal": f"{name}-sal"}},
    )


@pytest.fixture(scope="module")
def config() -> Any:
    chosen = {"poison": "em", "dataset": "digits", "model": "tiny_resnet", "task": "single", "defense": "none"}
    solver = {"_target_": "unlearnable.measures.sal.fast.Fast"}
    return OmegaConf.create(
        {"choices": chosen, "seed": 0, "eps": 0.05, "steps": "${sal.steps}", "sal": {"solver": solver, "steps": 10}}
    )


def test_a_result_says_what_it_is_and_what_it_depends_on(config: Any) -> None:
    # Poisoned: 0, 1 and 0 layers above β = 2; clean: 1, 1, 1. UD = 1/3.
    own = run([[1.0, 1.0], [1.0, 4.0], [0.0, 0.0]])
    made = make_result(config, Poison(), own, run(name="c"), seconds=9.0, priors={"class": {"constant": {"acc": 0.1}}})
    assert (made["poison"], made["solver"], made["is_clean"]) == ("em", "fast", False)
    assert (made["beta"], made["learnable_layers"], made["ud"]) == (2.0, [0.0, 1.0, 0.0], pytest.approx(1 / 3))
    assert made["keys"] == {
        "poison": "p",
        "trajectory": "t",
        "measure": {"sal": "t-sal"},
        "reference": {"trajectory": "c", "measure": {"sal": "c-sal"}},
    }
    assert made["seconds"] == {"poison": 5.0, "train": 3.0, "sal": 2.0, "total": 9.0}
    assert made["reused"] == ["poison", "train"]
    assert (made["parameters"], made["loss"], made["clean_loss"]) == ([10, 30], [0.5] * 3, [0.5] * 3)
    assert all(isinstance(value, float | None) for value in made["distances"].values())
    assert set(made["distances"]) == set(DISTANCES)
    assert made["distances"]["geometric"] == made["geometric"]["value"]
    assert made["distances"]["loss_ratio"] == 1
    assert made["distances"]["count_log"] == made["count_log"]["value"]
    assert made["count_log"]["warning"] is None  # two layers are too few to say
    assert made["equal_loss"]["compared"] == 3
    assert made["undefined"] == {}
    assert made["config"]["steps"] == made["steps"] == 10  # resolved
    json.dumps(made, allow_nan=False)


def test_a_ud_that_is_undefined_costs_nothing_else(config: Any, caplog: pytest.LogCaptureFixture) -> None:
    # Constant SAL has no two clusters, so no β. (2 + τ) / (1 + τ) in all epochs and layers.
    made = make_result(config, Poison(), run([[2.0, 2.0]] * 3), run([[1.0, 1.0]] * 3, name="c"), seconds=1.0)
    assert (made["ud"], made["beta"], made["learnable_layers"], made["count_log"]) == (None, None, [None] * 3, None)
    assert made["geometric"]["value"] == pytest.approx(2.001 / 1.001)
    assert made["distances"]["count"] is None
    assert "two different finite values in every epoch" in made["undefined"]["ud"]
    assert "ud of class is undefined" in caplog.text
    nothing = make_result(config, Poison(), run([[math.nan] * 2] * 3), run(name="c"), seconds=1.0)
    assert (nothing["ud"], nothing["geometric"]) == (None, None)
    assert set(nothing["undefined"]) == {"ud", "geometric", "count_log", "skill"}


def test_clean_data_are_their_own_reference(config: Any) -> None:
    made = make_result(config, Poison(key=None), run(), None, seconds=1.0)
    assert (made["is_clean"], made["ud"]) == (True, 1.0)
    assert made["keys"]["reference"] == {"trajectory": "t", "measure": {"sal": "t-sal"}}


def test_a_layer_without_a_number_is_null(config: Any) -> None:
    made = make_result(config, Poison(), run([[math.nan, 1.0], *CLEAN[1:]]), run(), seconds=1.0)
    assert made["sal"][0] == [None, 1.0]
    assert made["left_out"] == 1


def test_a_run_that_stopped_early_is_compared_over_the_common_epochs(config: Any) -> None:
    made = make_result(config, Poison(), run(CLEAN[:2]), run(name="c"), seconds=1.0)
    assert (made["sal_epochs"], made["epochs_not_compared"]) == ([1, 2], [3])
    assert np.shape(made["sal"]) == np.shape(made["clean_sal"]) == (2, 2)
    with pytest.raises(ValueError, match=r"after epochs \[1\] of this run and \[2, 3\] of its clean reference"):
        make_result(config, Poison(), run(CLEAN[:1]), run(CLEAN[:2], epochs=[2, 3]), seconds=1.0)


def test_every_measure_beside_sal_is_in_the_result_layer_by_layer(config: Any) -> None:
    def trace(factor: float, epochs: Sequence[int]) -> dict[str, Any]:
        found = Measured(("a", "b", "c"), factor * np.arange(3.0))
        return {"trace": {epoch: {"class": found} for epoch in epochs}}

    made = make_result(config, Poison(), run(more=trace(1, [1, 3])), run(more=trace(2, [1, 2, 3])), seconds=1.0)
    assert made["measures"] == {
        "trace": {
            "layers": ["a", "b", "c"],
            "epochs": [1, 3],
            "values": [[0.0, 1.0, 2.0]] * 2,
            "clean_values": [[0.0, 2.0, 4.0]] * 2,
        }
    }
    alone = make_result(config, Poison(), run(more=trace(1, [1])), run(), seconds=1.0)
    assert alone["measures"] == {}  # nothing of the reference to put beside it


def test_several_tasks_have_their_metrics_and_conflicts(config: Any) -> None:
    tasks = {"class": Classification("class", 10), "depth": Depth("depth", 1)}
    rows = {"class": [1.0, -0.5], "depth": [-0.5, 1.0]}
    conflict = {"conflict": {3: {task: Measured(tuple(rows), np.array(row)) for task, row in rows.items()}}}
    both = run(tasks=tasks, more=conflict)
    made = make_result(config, Poison(), both, both, seconds=1.0)
    assert list(made["tasks"]) == ["class", "depth", "joint"]
    assert made["tasks"]["class"]["test_metric"] == 0.5
    assert made["tasks"]["depth"]["relative"] == 0
    assert "metric" not in made["tasks"]["joint"]
    assert made["delta_m"] == 0
    assert made["tasks"]["depth"]["prior"] is made["tasks"]["depth"]["skill"] is None
    assert made["tasks"]["depth"]["undefined"] == {"skill": "there is no prior to compare with"}
    assert made["conflict"]["epochs"] == [3]
    assert made["conflict"]["gradient"] == [[[1.0, -0.5], [-0.5, 1.0]]]
    np.testing.assert_allclose(made["conflict"]["sal"], np.ones((1, 2, 2)))  # the same SAL
    assert made["tasks"]["class"]["measures"] == {}


def test_the_better_prior_is_the_prior_and_skill_is_counted_from_it(config: Any) -> None:
    depth = {"constant": {"rmse": 3.0, "delta1": 0.1}, "pixel": {"rmse": 2.5, "delta1": 0.2}}
    tasks = {"depth": Depth("depth", 1), "class": Classification("class", 10)}
    own, clean = run(tasks=tasks), run(tasks=tasks, name="c")
    clean.epochs[-1].metrics["test/depth/rmse"] = 1.5  # type: ignore[index]
    priors = {"depth": depth, "class": {"constant": {"acc": 0.5}}}
    found = make_result(config, Poison(), own, clean, seconds=1.0, priors=priors)["tasks"]
    assert (found["depth"]["prior"], found["depth"]["prior_by"], found["depth"]["priors"]) == (2.5, "pixel", depth)
    # (2.0 − 2.5) / (1.5 − 2.5).
    assert (found["depth"]["skill"], found["depth"]["skill_verdict"]) == (0.5, "learnable")
    assert (found["class"]["skill"], found["class"]["skill_verdict"]) == (None, "undefined")
    assert found["class"]["undefined"] == {"skill": "the clean model does not beat the prior: acc 0.5 and 0.5"}
    assert "skill" not in found["joint"]


def test_sal_conflict_is_over_the_layers_that_all_tasks_have() -> None:
    first = Measured(("a", "b", "head.x"), np.array([3.0, 4.0, 100.0]))
    second = Measured(("b", "a", "head.y"), np.array([3.0, 4.0, 7.0]))
    silent = Measured(("a", "b"), np.zeros(2))
    # (3, 4) · (4, 3) / 25 = 0.96.
    np.testing.assert_allclose(sal_conflict({"a": first, "b": second}), [[1, 0.96], [0.96, 1]])
    assert np.isnan(sal_conflict({"a": first, "b": silent})[0, 1])
    with pytest.raises(ValueError, match="no layer in common"):
        sal_conflict({"a": first, "b": Measured(("c",), np.ones(1))})
