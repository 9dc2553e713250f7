"""A saved view of a W&B project: what is logged, laid out once for every sweep to come. docs/wandb.md shows it.

Written through wandb-workspaces (the extra `dashboard`). All names of metrics come from `unlearnable.logged`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from unlearnable.logged import (
    EPOCH,
    GEOMETRIC,
    LEARNABLE_LAYERS,
    METHODS,
    PREVIEW,
    REPORT,
    SAL,
    SAL_FIGURE,
    TEST_ACC,
    UD,
    VALUE,
    figure_key,
)
from unlearnable.loggers.wandb import without_terminal

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

#: The view's name.
NAME = "How unlearnable?"
#: Columns of the table of runs, from their summaries.
COLUMNS = ("poison", "seed", "ud", "geometric", "test_acc", "clean_test_acc", "beta", "noise/linf_max")
_METHOD = "choices.poison"  # in the configuration: what runs over seeds have in common
_MOST_RUNS = 1000  # of those that a line is made from; W&B takes ten if nothing is said


def dashboard(entity: str, project: str) -> Workspace:
    """The view: distances with bands over seeds, maps of SAL, the table of methods, tasks, poisons.

    Args:
        entity: W&B user or team.
        project: W&B project; `unlearnable` unless `logger.project` says otherwise.

    Raises:
        ValueError: if the extra `dashboard` is not installed.
    """
    try:
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as views
    except ImportError as error:
        raise ValueError("A dashboard is written by wandb-workspaces: pip install 'unlearnable[dashboard]'.") from error

    def over_seeds(title: str, key: str, *, logarithmic: bool = False) -> Any:
        """Mean and standard deviation over the runs of each method, epoch by epoch."""
        return panels.LinePlot(
            title=title,
            x=EPOCH,
            y=[key],
            log_y=logarithmic,
            groupby=panels.Config(_METHOD),
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
            max_runs_to_show=_MOST_RUNS,
        )

    def each_task(title: str, key: str, *, logarithmic: bool = False) -> Any:
        plot = over_seeds(title, key, logarithmic=logarithmic)
        plot.y, plot.metric_regex = [], f"^{UD}/.+/{key}$"
        return plot

    def section(name: str, *shown: Any, is_open: bool = True, columns: int = 2, rows: int = 1) -> Any:
        layout = views.SectionLayoutSettings(columns=columns, rows=rows)
        return views.Section(name=name, panels=list(shown), is_open=is_open, layout_settings=layout)

    def pictures(title: str, key: str) -> Any:
        return panels.MediaBrowser(title=title, media_keys=[key], num_columns=1)

    over_accuracy = panels.ScatterPlot(title="Geometric distance over test accuracy", x="test_acc", y="geometric")
    over_accuracy.log_y = True
    return views.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=[
            section(
                "Distances",
                over_seeds("UD, mean and standard deviation over seeds", f"{UD}/{VALUE}"),
                over_seeds("Geometric distance", f"{UD}/{GEOMETRIC}", logarithmic=True),
                over_seeds("Learnable layers", f"{UD}/{LEARNABLE_LAYERS}"),
                over_seeds("Test accuracy", TEST_ACC),
                rows=2,
            ),
            section(
                "SAL",
                pictures("SAL by layer and epoch, clean and poisoned", figure_key(SAL_FIGURE)),
                panels.LinePlot(title="SAL of each layer", x=EPOCH, metric_regex=f"^{SAL}/", log_y=True),
            ),
            section("Methods", panels.WeavePanelSummaryTable(table_name=METHODS), columns=1),
            section("Methods over accuracy, page", over_accuracy, pictures("Report", REPORT)),
            section(
                "Many tasks",
                each_task("UD of each task", VALUE),
                each_task("Geometric distance of each task", GEOMETRIC, logarithmic=True),
                is_open=False,
            ),
            section("Poisons", pictures("What was changed", PREVIEW), is_open=False, columns=1),
        ],
        settings=views.WorkspaceSettings(x_axis=EPOCH, max_runs=100),
        runset_settings=views.RunsetSettings(pinned_columns=[f"summary:{column}" for column in COLUMNS]),
    )


def spec_of(view: Workspace) -> dict[str, Any]:
    """What the server is sent, as JSON values."""
    sent: dict[str, Any] = json.loads(view._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))
    return sent


def save(view: Workspace) -> str:
    """Writes a new saved view to the server that wandb is logged in at, and returns its address.

    Raises:
        ValueError: if it was not taken: no key, a wrong one, no such project, no network.
    """
    try:
        with without_terminal():
            return str(view.save().url)
    except Exception as error:  # wandb's, GraphQL's and HTTP's, which have been renamed before
        why = str(error).partition("\n")[0].strip(" .:") or type(error).__name__
        raise ValueError(
            f"W&B did not take the view of {view.entity}/{view.project}: {why}. "
            "It needs a key that may write there (`wandb login`, or WANDB_API_KEY) and a server that answers; --dry-run "
            "shows the view without either."
        ) from error
