"""The figures of merit of each kind of task, over all pixels that have a value, by torchmetrics."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric, MeanSquaredError, Metric
from torchmetrics.classification import BinaryAveragePrecision, MulticlassAccuracy, MulticlassJaccardIndex

from unlearnable.tasks.base import Task
from unlearnable.tasks.losses import pairs

#: A heat map's target from which a pixel counts as a key point or an edge.
POSITIVE = 0.25


class TaskMetrics(nn.Module):
    """The metrics of one task.

    By kind: `acc`; `miou` (mean over the classes that occur) and `pixel_acc`; `pair_acc` (balanced: chance is 1/2);
    `rmse` in metres, `abs_rel` and `delta1` (share within a factor of 1.25); `mean_angle` in degrees and `within_11`
    (share within 11.25°); `ap` (average precision of pixels above `POSITIVE`) and `rmse`; `rmse`.

    Args:
        task: The task.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.kind = task.kind
        self.metrics = nn.ModuleDict(_make(task))

    def update(self, output: Tensor, target: Tensor) -> None:
        """Takes a batch of predictions and targets in."""
        values = getattr(self, f"_{self.kind}")(output, target)
        for name, pair in values.items():
            if pair[0].numel():
                self._metric(name).update(*pair)

    def compute(self) -> dict[str, Tensor]:
        """Name → value over all that was taken in since `reset`; NaN if that was nothing."""
        return {
            name: self._metric(name).compute() if self._metric(name).update_called else torch.tensor(math.nan)
            for name in self.metrics
        }

    def reset(self) -> None:
        """Forgets what was taken in."""
        for name in self.metrics:
            self._metric(name).reset()

    def _metric(self, name: str) -> Metric:
        metric = self.metrics[name]
        assert isinstance(metric, Metric)
        return metric

    def _class(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        known = target >= 0
        return {"acc": (output[known], target[known])}

    def _segmentation(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        known = target >= 0
        pair = output.argmax(1)[known], target[known]
        return {"miou": pair, "pixel_acc": pair}

    def _grouping(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        squared, same, valid = pairs(output, target)
        return {"pair_acc": ((squared[valid] < math.log(3)).long(), same[valid].long())}  # where 2/(1+exp d²) > 1/2

    def _depth(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        known = ~target.isnan()
        predicted, true = output[known].exp(), target[known]
        ratio = torch.maximum(predicted / true, true / predicted)
        return {
            "rmse": (predicted, true),
            "abs_rel": ((predicted - true).abs() / true,),
            "delta1": ((ratio < 1.25).float(),),
        }

    def _normal(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        known = ~target.isnan().any(1)
        cosine = F.cosine_similarity(output, target.nan_to_num(0.0), dim=1)[known]
        angle = torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))
        return {"mean_angle": (angle,), "within_11": ((angle <= 11.25).float(),)}

    def _heatmap(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        known = ~target.isnan()
        predicted, true = output[known].sigmoid(), target[known]
        return {"ap": (predicted, (true >= POSITIVE).long()), "rmse": (predicted, true)}

    def _map(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        known = ~target.isnan()
        return {"rmse": (output[known], target[known])}


def _make(task: Task) -> dict[str, Metric]:
    def root_mean_square() -> Metric:
        return MeanSquaredError(squared=False)

    made: dict[str, dict[str, Metric]] = {
        "depth": {"rmse": root_mean_square(), "abs_rel": MeanMetric(), "delta1": MeanMetric()},
        "normal": {"mean_angle": MeanMetric(), "within_11": MeanMetric()},
        # Exact curves would keep every pixel of the test set; 200 thresholds change the third digit.
        "heatmap": {"ap": BinaryAveragePrecision(thresholds=200), "rmse": root_mean_square()},
        "map": {"rmse": root_mean_square()},
        "grouping": {"pair_acc": MulticlassAccuracy(2, average="macro")},
    }
    if task.kind in made:
        return made[task.kind]
    classes = max(2, task.channels)
    if task.kind == "segmentation":
        return {"miou": MulticlassJaccardIndex(classes), "pixel_acc": MulticlassAccuracy(classes, average="micro")}
    return {"acc": MulticlassAccuracy(classes, average="micro")}
