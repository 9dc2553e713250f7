"""`python -m unlearnable.certify JOB…`: what a finished job's poison promises, and how far an attacker gets against it.

Two figures of the trained weights θ̂ on the clean test set. *Certified*: with high confidence, a share q of the networks
θ̂ + v + N(0, σ²I) has no higher accuracy, wherever v is in the ball ‖v‖ ≤ η. *Recovered*: the accuracy after fine-tuning on
the clean training images within that ball. Both are written to `certificate.json` in the job's folder, which the report
reads.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unlearnable.files import write_atomically
from unlearnable.identity import code_of
from unlearnable.options import number, whole
from unlearnable.probing import trees
from unlearnable.probing.weight_space import moved, neighbour
from unlearnable.reopened import Job
from unlearnable.results.reading import CERTIFICATE
from unlearnable.tasks import Classification

#: Of the certificate: in one of a hundred sets of networks it may be too low.
CONFIDENCE = 0.99
_BATCH = 500


@dataclass(frozen=True)
class Settings:
    """What is certified, see `certified_accuracy` and `recovered_accuracy`.

    Args:
        sigma: σ.
        eta: η.
        quantile: q.
        models: N.
        epochs: Of the recovery.
        lr: Of the recovery.
    """

    sigma: float = 0.25
    eta: float = 1.0
    quantile: float = 0.9
    models: int = 1000
    epochs: int = 5
    lr: float = 0.01

    def __post_init__(self) -> None:
        number("--sigma", self.sigma, above=0)
        number("--eta", self.eta, at_least=0)
        number("--quantile", self.quantile, above=0, below=1)
        whole("--models", self.models, at_least=2)
        whole("--epochs", self.epochs)
        number("--lr", self.lr, above=0)


def certified_accuracy(accuracies: Sequence[float], *, quantile: float, shift: float) -> float | None:
    """An upper bound of the accuracy's quantile over noisy networks, for any centre of the noise in a ball.

    From `Provably Unlearnable Data Examples <https://arxiv.org/abs/2405.03316>`_ (Wang et al., NDSS 2025), after the
    theory of quantile smoothing (Chiang et al., 2020): with q̄ = Φ(Φ⁻¹(q) + η/σ) the bound is the k-th smallest of N
    accuracies, with the smallest k ≥ ⌈q̄N⌉ for which BinomCDF(k − 1; N, q̄) > 0.99.

    Args:
        accuracies: Of N networks with noise N(0, σ²I) on their weights.
        quantile: q, in (0, 1): the share of noisy networks that the bound is for.
        shift: η/σ: how far the centre may move, in standard deviations of the noise.

    Returns:
        The bound, or None where N networks are too few for it.
    """
    from scipy.stats import binom, norm

    count = len(accuracies)
    share = norm.cdf(norm.ppf(quantile) + shift)
    ranks = np.arange(max(1, math.ceil(share * count)), count + 1)
    sure = ranks[binom.cdf(ranks - 1, count, share) > CONFIDENCE]
    return float(np.sort(accuracies)[sure[0] - 1]) if len(sure) else None


def models_needed(*, quantile: float, shift: float) -> int:
    """The least number of networks for which `certified_accuracy` has a bound: their largest accuracy, Nth of N."""
    from scipy.stats import norm

    beyond = norm.sf(norm.ppf(quantile) + shift)
    return math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-beyond)) if beyond > 0 else sys.maxsize


@torch.no_grad()
def accuracy(net: Callable[[Any], Tensor], batches: Sequence[tuple[Any, Tensor]]) -> float:
    """Share of samples with a class whose class the network, in eval mode, scores highest."""
    correct = sum((_scores(net, inputs).argmax(1) == labels).sum() for inputs, labels in batches)
    return float(correct) / sum(int((labels >= 0).sum()) for _, labels in batches)


def _scores(net: Callable[[Any], Any], inputs: Any) -> Tensor:
    """The scores of the classes; a net with heads for tasks has those of the one that there is."""
    outputs = net(inputs)
    return outputs if isinstance(outputs, Tensor) else next(iter(outputs.values()))


def noisy_accuracies(
    net: nn.Module, batches: Sequence[tuple[Any, Tensor]], *, sigma: float, models: int, bar: Any = iter
) -> list[float]:
    """Accuracies of the network with N(0, σ²I) added to its parameters, `models` times; the network stays as it is."""
    draws = torch.Generator().manual_seed(0)
    return [accuracy(moved(net, neighbour(net, sigma, draws)), batches) for _ in bar(range(models))]


def recover(
    net: nn.Module, batches: Sequence[tuple[Any, Tensor]], *, radius: float, epochs: int, lr: float, bar: Any = iter
) -> None:
    """Fine-tunes the network in place, by SGD with momentum 0.9, projected onto the ℓ2 ball around its own weights.

    The recovery attack of the same paper. Only the parameters move: BatchNorm keeps its statistics.

    Args:
        net: The network.
        batches: Clean training data.
        radius: η, of the ball around all parameters as one vector.
        epochs: Passes over the batches.
        lr: Learning rate.
        bar: Wraps the passes in a progress bar.
    """
    start = [parameter.detach().clone() for parameter in net.parameters()]
    net.eval().requires_grad_(True)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    order = torch.Generator().manual_seed(0)
    for _ in bar(range(epochs)):
        for place in torch.randperm(len(batches), generator=order).tolist():
            inputs, labels = batches[place]
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(_scores(net, inputs), labels, ignore_index=-1).backward()
            optimizer.step()
            with torch.no_grad():
                moves = [parameter - origin for parameter, origin in zip(net.parameters(), start, strict=True)]
                length = torch.stack([move.square().sum() for move in moves]).sum().sqrt()
                shrink = (radius / length.clamp_min(1e-30)).clamp_max(1)
                for parameter, origin, move in zip(net.parameters(), start, moves, strict=True):
                    parameter.copy_(origin + shrink * move)


def certificate(job: Job, settings: Settings) -> dict[str, Any]:
    """Both figures of a job, from the store or made.

    Raises:
        ValueError: if the job has other tasks than one classification.
    """
    tasks = job.data["clean"].tasks
    if len(tasks) != 1 or not isinstance(next(iter(tasks.values())), Classification):
        raise ValueError(f"{job.folder}: a certificate is of one classification; the job has {', '.join(tasks)}.")
    name = list(job.data)[-1]
    key = {"trajectory": job.digests[name], "settings": asdict(settings), "code": code_of("unlearnable.certify")}

    def make(folder: Path) -> None:
        found = _measure(job, name, settings)
        write_atomically(folder / CERTIFICATE, json.dumps(found, indent=1))

    entry = job.stages.store.obtain("certificate", key, make)
    found: dict[str, Any] = json.loads((entry.path / CERTIFICATE).read_text())
    return found


def _measure(job: Job, name: str, settings: Settings) -> dict[str, Any]:
    from tqdm import tqdm

    def bar(steps: Any, what: str) -> Any:
        return tqdm(steps, desc=f"{job.folder.name}: {what}", leave=False, disable=None)

    device = job.stages.device
    net: Any = job.stages.make_module(job.data[name]).net
    net.load_state_dict(dict(job.trajectories[name][-1]))
    net.to(device).eval().requires_grad_(False)
    test = _on(device, job.data[name].probe(None, split="test", batch_size=_BATCH))
    own = accuracy(net, test)
    found = noisy_accuracies(
        net,
        test,
        sigma=settings.sigma,
        models=settings.models,
        bar=lambda steps: bar(steps, "networks"),
    )
    bound = certified_accuracy(found, quantile=settings.quantile, shift=settings.eta / settings.sigma)
    clean = _on(device, job.data["clean"].probe(None, split="train", batch_size=128))
    recover(
        net,
        clean,
        radius=settings.eta,
        epochs=settings.epochs,
        lr=settings.lr,
        bar=lambda steps: bar(steps, "recovery"),
    )
    return {
        **asdict(settings),
        "accuracy": own,
        "noisy_accuracy": float(np.mean(found)),
        "certified": bound,
        "recovered": accuracy(net, test),
    }


def _on(device: torch.device, batches: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Tensor]]:
    found = []
    for inputs, targets in batches:
        labels = targets if isinstance(targets, Tensor) else next(iter(targets.values()))
        found.append((trees.moved(inputs, device), labels.to(device)))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Certifies the jobs, prints a line each; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m unlearnable.certify", description=__doc__)
    defaults = Settings()
    parser.add_argument("jobs", type=Path, nargs="+", metavar="JOB", help="finished jobs' folders")
    parser.add_argument("--sigma", type=float, default=defaults.sigma, help="deviation of the noise on the weights")
    parser.add_argument("--eta", type=float, default=defaults.eta, help="radius of the ball, of all weights together")
    parser.add_argument("--quantile", type=float, default=defaults.quantile, help="share of the noisy networks")
    parser.add_argument("--models", type=int, default=defaults.models, help="noisy networks")
    parser.add_argument("--epochs", type=int, default=defaults.epochs, help="of the recovery")
    parser.add_argument("--lr", type=float, default=defaults.lr, help="of the recovery")
    options = vars(parser.parse_args(arguments))
    folders = options.pop("jobs")
    try:
        settings = Settings(**options)
        needed = models_needed(quantile=settings.quantile, shift=settings.eta / settings.sigma)
        if needed > settings.models:
            print(
                f"No bound is possible: the quantile {settings.quantile:g} at η/σ = {settings.eta / settings.sigma:g} takes "
                f"{needed:,} networks, and there are {settings.models:,}. The accuracies are measured all the same.",
                file=sys.stderr,
            )
        for folder in folders:
            found = certificate(Job(folder), settings)
            write_atomically(folder / CERTIFICATE, json.dumps(found, indent=1))
            bound = "none" if found["certified"] is None else f"{found['certified']:.3f}"
            print(
                f"{folder}: test accuracy {found['accuracy']:.3f}, with noise {found['noisy_accuracy']:.3f}, certified "
                f"≤ {bound}, recovered {found['recovered']:.3f}"
            )
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
