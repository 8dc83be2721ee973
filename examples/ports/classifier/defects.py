"""What ports of classifiers and of their training get wrong."""

from examples.ports.defect import Defect
from parity.engine.judge import kinds

TRAINING = {"case": "training", "checks": ("steps",)}

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
    Defect(
        "momentum of the statistics the other way round",
        "models/norm.py",
        old="momentum=0.1",
        new="momentum=0.9",
        where="statistics/step0/*.running_*",
        kind=(kinds.CONSTANT, kinds.FORMULA),
        **TRAINING,
    ),
    Defect(
        "no prior in the last bias",
        "models/resnet.py",
        old="        init.constant_(self.fc.bias, -math.log((1 - prior) / prior))\n",
        new="        init.constant_(self.fc.bias, 0.0)\n",
        where="fc.bias",
        kind=kinds.INITIAL,
        checks=("initial",),
    ),
    Defect(
        "fan_in of the convolutions",
        "models/resnet.py",
        old='mode="fan_out"',
        new='mode="fan_in"',
        where="conv1.weight",
        kind=kinds.INITIAL,
        checks=("initial",),
    ),
    Defect(
        "affine part frozen with the statistics",
        "models/resnet.py",
        old="        self.bn1.is_train = False\n",
        new="        self.bn1.is_train = False\n"
        "        self.bn1.weight.stop_grad()\n"
        "        self.bn1.bias.stop_grad()\n",
        where="frozen/step*",
        kind=kinds.FROZEN,
        **TRAINING,
    ),
    Defect(
        "stem's batch norm left in training mode",
        "models/resnet.py",
        old="        self.bn1.is_train = False\n",
        new="",
        where="modes/step0",
        kind=kinds.MODE,
        fast=True,
        **TRAINING,
    ),
    Defect(
        "decay of the average",
        "models/ema.py",
        old="decay=0.9",
        new="decay=0.99",
        where="EMA/step0/ema/*",
        kind=(kinds.CONSTANT, kinds.FORMULA),
        **TRAINING,
    ),
    Defect(
        "average of parameters alone",
        "models/ema.py",
        old="for name, theirs in model.state_dict().items():\n            mine",
        new="for name, theirs in model.state_dict().items():\n"
        "            if theirs.is_stop_grad():\n"
        "                continue\n"
        "            mine",
        where="EMA/step0/ema/*",
        kind=(kinds.CONSTANT, kinds.FORMULA),
        **TRAINING,
    ),
    Defect(
        "average that stops the model's own gradients",
        "models/ema.py",
        old="theirs.detach()",
        new="theirs.stop_grad()",
        where=("all", "frozen/step1"),
        kind=(kinds.STILL, kinds.FROZEN),
        **TRAINING,
    ),
    Defect(
        "rate set where no group looks",
        "models/training.py",
        old='        for group in self.optimiser.param_groups:\n            group["lr"] = rate',
        new='        self.optimiser.param_groups[0]["lr"] = rate',
        where="rates/optimiser/step0",
        kind=kinds.RATE,
        **TRAINING,
    ),
    Defect(
        "drop counted in steps",
        "models/training.py",
        old="(step // EPOCH // DROP)",
        new="(step // DROP)",
        where="rates/optimiser/step2",
        kind=kinds.RATE,
        **TRAINING,
    ),
    Defect(
        "clipping by value",
        "models/training.py",
        old="        self.optimiser.clip_grad_norm(self.largest)\n",
        new="        for group in self.optimiser.param_groups:\n"
        '            for gradient in group["grads"]:\n'
        "                gradient.update(gradient.clamp(-self.largest, self.largest))\n",
        where="moved/step0/*",
        kind=(kinds.CONSTANT, kinds.FORMULA, kinds.BRANCH),
        **TRAINING,
    ),
    Defect(
        "norms and biases decayed",
        "models/training.py",
        old='"weight_decay": 0.0',
        new='"weight_decay": decay',
        where=("moved/step0/*bn*", "moved/step0/*.bias"),
        kind=(kinds.FORMULA, kinds.TERM, kinds.CONSTANT),
        **TRAINING,
    ),
    Defect(
        "labels not smoothed",
        "models/training.py",
        old="smoothing=0.1",
        new="smoothing=0.0",
        where="numbers/step0/loss",
        kind=(kinds.CONSTANT, kinds.FORMULA),
        **TRAINING,
    ),
]
