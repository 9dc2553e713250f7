"""The saved view shows what is logged, under the names by which it is logged; nothing here needs a key or a network."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.results._sweeps import multi_task, result, write_sweep
from unlearnable.app.commands import run_command
from unlearnable.callbacks.distances import epoch_figures
from unlearnable.loggers.base import SweepInfo
from unlearnable.loggers.wandb_content import log_report, log_sal, summary_values
from unlearnable.loggers.wandb_dashboard import dashboard, spec_of
from unlearnable.report.build import read

#: Section → its panels: kind, and what they show.
LAYOUT = {
    "Distances": [
        ("Run History Line Plot", "ud/value"),
        ("Run History Line Plot", "ud/geometric"),
        ("Run History Line Plot", "ud/learnable_layers"),
        ("Run History Line Plot", "test/acc"),
    ],
    "SAL": [("Media Browser", "figures/sal"), ("Run History Line Plot", "^sal/")],
    "Methods": [("Weave", "methods")],
    "Methods over accuracy, page": [("Scatter Plot", "summary:geometric"), ("Media Browser", "report")],
    "Many tasks": [
        ("Run History Line Plot", "^ud/.+/value$"),
        ("Run History Line Plot", "^ud/.+/geometric$"),
    ],
    "Poisons": [("Media Browser", "preview")],
}


def spec() -> dict[str, Any]:
    return spec_of(dashboard("lab", "unlearnable"))["section"]


def panels(one: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {section["name"]: section["panels"] for section in one["panelBankConfig"]["sections"]}


def shown(panel: dict[str, Any]) -> str:
    """What a panel shows: its one metric, regular expression, medium, or table."""
    config = panel["config"]
    for name in ("metrics", "mediaKeys"):
        if config.get(name):
            (key,) = config[name]
            return key
    if "panel2Config" in config:  # runs.summary["methods"]
        (key,) = re.findall(r'"val": "(methods)"', json.dumps(config))
        return key
    return config.get("metricRegex") or config["yAxis"]


def test_the_view_is_laid_out_as_documented() -> None:
    found = {name: [(panel["viewType"], shown(panel)) for panel in many] for name, many in panels(spec()).items()}
    assert found == LAYOUT


def test_distances_have_bands_over_the_runs_of_each_method() -> None:
    for panel in panels(spec())["Distances"]:
        config = panel["config"]
        assert (config["xAxis"], config["groupBy"]) == ("epoch", "choices.value.poison")  # config's choices.poison
        assert (config["groupAgg"], config["groupArea"], config["limit"]) == ("mean", "stddev", 1000)
    logarithmic = [panel["config"]["yLogScale"] for panel in panels(spec())["Distances"]]
    assert logarithmic == [False, True, False, False]


class Recorder:
    """Stands for a W&B run; keeps the keys that are logged."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.id = "id"

    def log(self, values: dict[str, Any]) -> None:
        self.keys |= values.keys()

    def log_artifact(self, _: Any) -> None:
        pass


@pytest.fixture
def logged(tmp_path: Path) -> set[str]:
    """The keys of a job's and a sweep's runs, as the callbacks and the logger give them."""
    sweep = write_sweep(tmp_path / "sweep", *[result(poison) for poison in ("clean", "em")])
    run = Recorder()
    log_sal(run, result("em"), sweep / "1-em")
    records, cells = read([sweep])
    (page := tmp_path / "report.html").write_text("<p>a sweep's page</p>")
    log_report(run, SweepInfo(sweep, records, cells, [page]))
    sal = {1: {"one": np.ones(2), "other": np.ones(2)}}
    one = {epoch: {"one": tasks["one"]} for epoch, tasks in sal.items()}
    return run.keys | {*epoch_figures(one[1], one, 1)} | {*epoch_figures(sal[1], sal, 1)}


def test_every_panel_shows_what_is_logged(logged: set[str]) -> None:
    # What Lightning's module, `Measuring` and the job's end log under names that other tests hold.
    logged |= {"test/acc", "sal/conv1", "preview"} | {f"summary:{key}" for key in summary_values(result("em"))}
    for many in panels(spec()).values():
        for panel in many:
            key = shown(panel)
            assert key in logged or (key.startswith("^") and any(re.search(key, one) for one in logged)), key


def test_every_pinned_column_is_in_the_summary_of_a_job() -> None:
    columns = spec()["runSets"][0]["runFeed"]["columnOrder"]
    assert columns[0] == "run:displayName"
    assert {column.removeprefix("summary:") for column in columns[1:]} <= summary_values(result("em")).keys()
    assert "scene/geometric" in summary_values(multi_task("em"))  # of many tasks the columns are the tasks'


def test_the_command_prints_the_view_without_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["dashboard", "--entity", "lab", "--dry-run"]) == 0
    assert [*panels(json.loads(capsys.readouterr().out)["section"])] == [*LAYOUT]


def test_no_key_and_no_extra_end_with_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert run_command(["dashboard", "--entity", "lab", "--project", "p"]) == 1
    said = capsys.readouterr().err
    assert "W&B did not take the view of lab/p" in said
    assert "wandb login" in said
    for name in [name for name in sys.modules if name.startswith("wandb_workspaces")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert run_command(["dashboard", "--entity", "lab"]) == 1
    assert "pip install 'unlearnable[dashboard]'" in capsys.readouterr().err
