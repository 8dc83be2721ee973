"""What ports of classifiers and of their training get wrong."""

from examples.ports.defect import Defect
from parity.engine import kinds

DEFECTS = [
    Defect(
        "eps of the batch norm",
        "models/norm.py",
        old="eps=1e-5",
        new="eps=1e-3",
        where="bn1",
        kind=kinds.CONSTANT,
        fast=True,
    ),
    Defect(
        "no ReLU after the sum",
        "models/resnet.py",
        old="return self.relu(x + identity)",
        new="return self.relu(x) + identity",
        where="layer1.0",
        kind=(kinds.FORMULA, kinds.BRANCH, kinds.ORDER),
    ),
    Defect(
        "shortcut detached",
        "models/resnet.py",
        old="identity = x if self.downsample is None else self.downsample(x)",
        new="identity = x.detach() if self.downsample is None else self.downsample(x)",
        where="layer1.0",
        kind=(kinds.BACKWARD, kinds.DETACHED),
    ),
    Defect(
        "pooling window of 2",
        "models/resnet.py",
        old="self.maxpool = nn.MaxPool2d(3, 2, 1)",
        new="self.maxpool = nn.MaxPool2d(2, 2)",
        where="maxpool",
        kind=(kinds.FORMULA, kinds.CONSTANT, kinds.BRANCH),
    ),
]
