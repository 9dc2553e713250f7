"""Backbones, heads over them, and the one LightningModule (`module`) that trains them.

Backbones are factories `(num_classes, *, in_channels=3, …) -> nn.Module` over inputs in [0, 1], not normalised:
`tiny_resnet`, `torchvision_nets`, `timm_nets`.
"""
