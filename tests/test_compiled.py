"""Trainings of a compiled network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from tests.test_cli import SMOKE, log_of, run
from tests.test_job import job
from tests.test_ranks import alone
from unlearnable.checks import check_trainer

JOB = (*SMOKE, "poison=clean", "measure=[]", "dataset.batch_size=80")  # batches of 80, 40 and, in the test, 60


def test_aggregated_gradients_of_a_compiled_network_are_refused(tmp_path: Path) -> None:
    config = job(tmp_path, "trainer.compile=true", "+task.aggregator=upgrad")
    with pytest.raises(ValueError, match=r"use trainer\.compile=false"):
        check_trainer(config)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_compiled_network_keeps_its_layers_names_and_is_measured_as_it_was_written(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("compiling on a CPU takes a C++ compiler")
    store = tmp_path / "store"

    def result_of(name: str, *options: str) -> dict[str, Any]:
        done = run(*JOB, *options, f"hydra.run.dir={tmp_path}/{name}", store=store, timeout=1500)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads((tmp_path / name / "result.json").read_text())

    plain, found = result_of("plain"), result_of("compiled", "trainer.compile=true", "trainer.keep=all")
    trained = [record for record in log_of(store) if (record["event"], record["kind"]) == ("made", "trajectory")]
    assert len(trained) == 2  # a training of its own
    assert found["layers"] == plain["layers"]
    one, other = (
        load_file(store / "trajectory" / result["keys"]["trajectory"] / "weights_0002.safetensors")
        for result in (plain, found)
    )
    assert list(one) == list(other)
    for result in (found, result_of("radius", "trainer.compile=true", "trainer.keep=all", "eps=0.01")):
        for epoch, row in enumerate(result["sal"], start=1):
            np.testing.assert_allclose(row, alone(result, store, epoch), rtol=1e-4, atol=1e-6)
    losses = ([epoch["train/loss"] for epoch in result["epochs"]] for result in (plain, found))
    np.testing.assert_allclose(*losses, rtol=1e-3)
