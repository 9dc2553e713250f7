"""SAL in a training of your own: a plain LightningModule and Trainer with one callback: `python examples/own_trainer.py`."""

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.nn import functional as F

from unlearnable.callbacks.measuring import Measuring
from unlearnable.data.digits import Digits
from unlearnable.measures.sal.measure import SharpnessAwareLearnability
from unlearnable.measures.sal.solvers.fast import Fast


class Classifier(LightningModule):
    """The callback asks for `net`, and for `loss_functions`: task → mean loss of outputs and targets."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 64), nn.ReLU(), nn.Linear(64, 10))
        self.loss_functions = {"digit": F.cross_entropy}

    def training_step(self, batch, index):  # noqa: ARG002
        """The loss of a batch."""
        images, labels = batch
        return F.cross_entropy(self.net(images), labels)

    def configure_optimizers(self):
        """Plain SGD."""
        return torch.optim.SGD(self.parameters(), lr=0.1)


def main(epochs: int = 10, subset: int | None = None) -> dict[str, float]:
    """Trains, measures after every epoch, and returns the last epoch's SAL, layer by layer."""
    sal = Measuring(SharpnessAwareLearnability(solver=Fast(), samples=100))
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = Trainer(max_epochs=epochs, accelerator="cpu", limit_val_batches=0, callbacks=[sal], **quiet)
    trainer.fit(Classifier(), datamodule=Digits(subset=subset))
    return sal.logged(epochs)


if __name__ == "__main__":
    for layer, value in main().items():
        print(f"{layer} {value:.3f}")
