"""Kinds of tasks, one file each: what is predicted, by which head, with which loss, and how it is judged."""

from unlearnable.tasks.base import JointLoss, Metric, Task, TaskLoss, choose_tasks, of_task
from unlearnable.tasks.classification import Classification
from unlearnable.tasks.depth import Depth
from unlearnable.tasks.grouping import Grouping
from unlearnable.tasks.heatmap import Heatmap
from unlearnable.tasks.next_token import NextToken
from unlearnable.tasks.normals import Normals
from unlearnable.tasks.segmentation import Segmentation
from unlearnable.tasks.value_map import ValueMap

__all__ = [
    "Classification",
    "Depth",
    "Grouping",
    "Heatmap",
    "JointLoss",
    "Metric",
    "NextToken",
    "Normals",
    "Segmentation",
    "Task",
    "TaskLoss",
    "ValueMap",
    "choose_tasks",
    "of_task",
]
