"""One thread a process: the tests' tensors are small, and several test processes share the machine."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # also for the processes that tests start

import torch

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
