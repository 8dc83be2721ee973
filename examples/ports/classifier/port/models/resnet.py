"""A ResNet of two stages for images of 32 by 32 pixels."""

import math

from jittor import init, nn

from .norm import BatchNorm2d


class BasicBlock(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride != 1 or inputs != width:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, width, 1, stride, bias=False), BatchNorm2d(width)
            )

    def execute(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return self.relu(x + identity)


class ResNet(nn.Module):
    def __init__(self, width=8, classes=10, prior=0.1):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(width, width, 1))
        self.layer2 = nn.Sequential(BasicBlock(width, 2 * width, 2))
        self.fc = nn.Linear(2 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        init.gauss_(self.fc.weight, 0, 0.01)
        init.constant_(self.fc.bias, -math.log((1 - prior) / prior))

    def freeze_stem(self):
        """The stem's weights are not trained; its batch norm keeps its statistics and is trained."""
        self.conv1.weight.stop_grad()
        self.bn1.is_train = False

    def execute(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(x.mean((2, 3)))


def build_model():
    return ResNet()
