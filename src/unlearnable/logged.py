"""The names by which metrics, tables and pictures are logged: callbacks and loggers write them, dashboards read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The axis of all that is logged over a training, counted from 0.
EPOCH = "epoch"
#: Test accuracy after an epoch.
TEST_ACC = "test/acc"
#: Before a measure's layers, as in `sal/conv1`; with several tasks `sal/<task>/conv1`.
SAL = "sal"
#: Before an epoch's figures of the run beside its clean reference, as in `ud/value`; with several tasks `ud/<task>/value`.
UD = "ud"
BETA, LEARNABLE_LAYERS, VALUE, GEOMETRIC = "beta", "learnable_layers", "value", "geometric"

#: Tables: SAL of a job, row by row; a sweep's jobs; its methods over their seeds.
SAL_TABLE, JOBS, METHODS = "sal/table", "jobs", "methods"
#: Media: what a poison changed, the conflict between tasks, a sweep's page.
PREVIEW, CONFLICT, REPORT = "preview", "conflict", "report"
#: A job's SAL as a map, in `figures/`.
SAL_FIGURE = "sal"


def task_key(name: str, task: str, tasks: Mapping[str, Any]) -> str:
    """The log key of a quantity: with one task just its name, with several `<name>/<task>`."""
    return name if len(tasks) == 1 else f"{name}/{task}"


def figure_key(name: str) -> str:
    """The log key of a figure."""
    return f"figures/{name}"
