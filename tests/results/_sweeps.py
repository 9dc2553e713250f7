"""Made-up sweeps in the files' real form: what reports are built from, without training anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unlearnable.distances import all_distances, count_log_report, distance_report
from unlearnable.files import finite
from unlearnable.results.skill import skill

LAYERS = ("conv1", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.0.conv2", "layer3.0.conv1", "fc")

#: Method → (how large its SAL is beside clean data's, its test accuracy).
METHODS = {"clean": (1.0, 0.95), "em": (0.3, 0.21), "tap": (1.4, 0.08), "ops": (0.15, 0.37), "lsp": (0.4, 0.19)}


def sal(scale: float, *, seed: int, eps: float = 0.05, epochs: int = 6, layers: int = len(LAYERS)) -> np.ndarray:
    """SAL that rises and falls over the epochs, `[epochs, layers]`."""
    rng = np.random.default_rng(seed)
    rise = np.sin(np.linspace(0.3, 2.6, epochs))[:, None]
    return 20 * eps * scale * rise * np.exp(rng.normal(0, 0.8, (epochs, layers)))


def result(
    poison: str,
    *,
    seed: int = 0,
    eps: float = 0.05,
    steps: int = 10,
    dataset: str = "cifar10",
    epochs: int = 6,
    options: dict[str, Any] | None = None,
    **groups: dict[str, Any],
) -> dict[str, Any]:
    """A job's result; `options` are the poison's, `groups` add to the configuration's other groups."""
    scale, accuracy = METHODS[poison]
    clean = sal(1.0, seed=1000 + seed, eps=eps, epochs=epochs)
    own = (
        clean
        if poison == "clean"
        else sal(scale, seed=sorted(METHODS).index(poison) * 100 + seed, eps=eps, epochs=epochs)
    )
    distance = distance_report(own, clean)
    last = accuracy + 0.01 * seed
    config = {
        "poison": {"_target_": f"unlearnable.poisons.{poison.upper()}", "radius": 8 / 255, **(options or {})},
        "trainer": {"max_epochs": epochs},
        "sal": {"solver": "fast", "eps": eps, "steps": steps, "samples": 512},
        "seed": seed,
        "eps": eps,
        "steps": steps,
        "choices": {"poison": poison, "dataset": dataset, "model": "resnet18", "task": "single", "defense": "none"},
    }
    if "data" in groups:  # `dataset` is the name of the option
        groups["dataset"] = groups.pop("data")
    for name, added in groups.items():
        config[name] = {**config.get(name, {}), **added}
    return {
        "poison": poison,
        "dataset": dataset,
        "model": "resnet18",
        "task": "single",
        "defense": "none",
        "seed": seed,
        "eps": eps,
        "steps": steps,
        "solver": "fast",
        "is_clean": poison == "clean",
        "keys": keys(config, dataset),
        **figures(own, clean),
        "ud": distance.value,
        "train_acc": 0.99,
        "test_acc": last,
        "test_acc_peak": last + 0.05,
        "clean_test_acc": METHODS["clean"][1],
        "epochs": [
            {
                "train/loss": 2.3 / (epoch + 1),
                "train/acc": 1 - 0.6 / (epoch + 1),
                "test/acc": last * (1 - 0.5 / (epoch + 1)),
            }
            for epoch in range(epochs)
        ],
        "measures": {},
        "preview": None,
        "sal_epochs": list(range(1, epochs + 1)),
        "seconds": {"total": 61.5},
        "reused": ["train"],
        "noise": {"changed": float(poison != "clean"), "linf_max": 8 / 255, "l2_max": 1.2, "l0_max": 1024},
        "config": config,
        "versions": {"python": "3.11"},
    }


def keys(config: dict[str, Any], dataset: str) -> dict[str, Any]:
    """Digests of what a job's parts depend on, as the stages give them."""

    def digest(*parts: Any) -> str:
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    method = {name: value for name, value in config["poison"].items() if name not in ("task", "export")}
    poison = digest(method, config["seed"])
    training = {name: config.get(name) for name in ("model", "trainer", "seed")}
    data = {name: value for name, value in config.get("dataset", {}).items() if name != "data_dir"}
    clean = digest(training, dataset, data)
    own = clean if config["choices"]["poison"] == "clean" else digest(training, dataset, data, poison)

    def run(trajectory: str) -> dict[str, Any]:
        return {"trajectory": trajectory, "measure": {"sal": digest(trajectory, config["sal"])}}

    return {"poison": poison, **run(own), "reference": run(clean)}


def figures(own: np.ndarray, clean: np.ndarray) -> dict[str, Any]:
    """What SAL says of one task; the made-up losses follow SAL, as real ones do."""
    distance = distance_report(own, clean)
    losses, clean_losses = own.mean(axis=1) / 10, clean.mean(axis=1) / 10
    return {
        "layers": list(LAYERS),
        "sal": own.tolist(),
        "clean_sal": clean.tolist(),
        "loss": losses.tolist(),
        "clean_loss": clean_losses.tolist(),
        "beta": distance.beta,
        "learnable_layers": distance.poisoned_counts.tolist(),
        "clean_learnable_layers": distance.clean_counts.tolist(),
        "ud": distance.value,
        "distances": finite(all_distances(own, clean, losses=losses, clean_losses=clean_losses)),
        "count_log": count_log_report(own, clean).to_dict(),
        "left_out": 0,
    }


def multi_task(poison: str, *, seed: int = 0) -> dict[str, Any]:
    """A multi-task job's result."""
    made = result(poison, seed=seed, dataset="rooms")
    made["config"]["choices"]["task"] = "multi"
    tasks = {}
    # Metric, its value on poisoned and on clean data, the prior's. Segmentation is not learnt at all.
    told = {"scene": ("acc", 0.14, 0.5, 0.1), "depth": ("rmse", 1.2, 1.0, 2.0), "segmentation": ("miou", 0.2, 0.2, 0.3)}
    for place, (task, (metric, own_value, clean_value, prior)) in enumerate(told.items()):
        clean = sal(1.0, seed=2000 + seed + place)
        own = clean if poison == "clean" else sal(METHODS[poison][0] * (1 + place), seed=3000 + seed + place)
        clean_value += 0.02 * seed
        own_value = clean_value if poison == "clean" else own_value + 0.02 * seed
        way: dict[str, Any] = {"metric": metric, "higher_is_better": metric != "rmse"}
        found = skill([own_value], [clean_value], prior, **way)
        extra = {
            **way,
            "test_metric": own_value,
            "clean_test_metric": clean_value,
            "relative": -40.0 / (1 + place),
            "prior": prior,
            "prior_by": "constant",
            "skill": found.mean if found.values else None,
            "skill_verdict": found.verdict,
        }
        tasks[task] = {**figures(own, clean), **extra}
    for name in figures(clean, clean):
        made.pop(name, None)
    matrix = [[1.0, 0.3, -0.2], [0.3, 1.0, 0.1], [-0.2, 0.1, 1.0]]
    conflict = {"tasks": list(tasks), "epochs": [6], "sal": [matrix], "gradient": [matrix]}
    return {**made, "task": "multi", "tasks": tasks, "delta_m": -20.0, "conflict": conflict, "clean_conflict": conflict}


def write_sweep(folder: Path, *results: dict[str, Any], failed: int = 0, names: Sequence[str] = ()) -> Path:
    """Writes a sweep's folder with these results, and `failed` failed jobs after them; `names` are the jobs' folders."""
    error = "`poison.radius` must be positive; got -1."
    failure = {"error": error, "overrides": ["poison=rem"], "choices": {"poison": "rem"}}
    jobs = [("result.json", made["poison"], made) for made in results] + [("failed.json", "rem", failure)] * failed
    for number, (file, poison, content) in enumerate(jobs):
        job = folder / (names[number] if names else f"{number}-{poison}")
        job.mkdir(parents=True)
        (job / file).write_text(json.dumps(content))
    return folder
