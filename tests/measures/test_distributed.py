"""Layers shared out over the ranks of a process group."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch.nn.functional as F

from tests._inputs import ROOT
from tests.probing._models import ResNet, batched, images, seeded_model, trained
from unlearnable.measures.sal import measure_sal

PROGRAM = """
import json, os, sys
import torch, torch.distributed as dist, torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from tests.probing._models import ResNet, batched, images, seeded_model, trained
from unlearnable.measures.sal import measure_sal

rank, folder, fails = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "fails"
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
data = batched(*images(60), 25)
model = DistributedDataParallel(trained(seeded_model(ResNet), F.cross_entropy, data, 5))
calls = 0
def loss_fn(outputs, targets):
    global calls
    calls += 1
    if fails and rank == 1 and calls > 40:
        raise RuntimeError("one rank fails")
    return F.cross_entropy(outputs, targets)
try:
    result = measure_sal(model, loss_fn, data, eps=[0.05, 0.02], steps=4)
    answer = [sal.measured().to_dict() for sal in result]
except RuntimeError as error:
    answer = str(error)
with open(f"{folder}/{rank}.json", "w") as file:
    json.dump(answer, file)
os._exit(0)  # taking gloo down now and then aborts the process, after all that is tested here
"""


def run_two(folder: Path, how: str) -> list[object]:
    command = [sys.executable, "-c", PROGRAM]
    processes = [subprocess.Popen([*command, str(rank), str(folder), how], cwd=ROOT) for rank in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_two_ranks_give_the_values_of_one(tmp_path: Path) -> None:
    answers = run_two(tmp_path, "works")
    data = batched(*images(60), 25)
    model = trained(seeded_model(ResNet), F.cross_entropy, data, 5)
    alone = measure_sal(model, F.cross_entropy, data, eps=[0.05, 0.02], steps=4)
    assert answers[0] == answers[1]
    for found, expected in zip(answers[0], alone, strict=True):  # type: ignore[call-overload]
        assert found["names"] == list(expected.names)
        assert found["values"] == pytest.approx(expected.values, rel=1e-5)
        assert found["details"]["settled"] == expected.settled.tolist()


def test_a_failing_rank_stops_the_others(tmp_path: Path) -> None:
    waiting, failing = run_two(tmp_path, "fails")
    assert failing == "one rank fails"
    assert isinstance(waiting, str)
    assert "failed on other ranks" in waiting
    assert "one rank fails" in waiting
