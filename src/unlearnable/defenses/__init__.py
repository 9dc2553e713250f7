"""What a model's trainer does against poisoned data, one file a defence."""

from unlearnable.defenses.base import Defense, NoDefense

__all__ = ["Defense", "NoDefense"]
