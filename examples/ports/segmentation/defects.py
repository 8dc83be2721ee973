"""What ports of segmentation nets get wrong."""

from examples.ports.defect import Defect
from parity.engine.judge import kinds

LOCATED = (kinds.FORMULA, kinds.BRANCH)

DEFECTS = [
    Defect(
        "corners aligned",
        "models/ops.py",
        old="place = (np.arange(outputs) + 0.5) * (inputs / outputs) - 0.5",
        new="place = np.arange(outputs) * ((inputs - 1) / (outputs - 1))",
        where="up1*",
        kind=LOCATED,
        fast=True,
    ),
    Defect(
        "doubled and cropped where the skip's size counts",
        "models/unet.py",
        old="x = resize(x, skip.shape[-2:])",
        new="x = resize(x, [2 * s for s in x.shape[-2:]])[:, :, : skip.shape[2], : skip.shape[3]]",
        where="up1*",
        kind=LOCATED,
    ),
    Defect(
        "skip after the upsampled",
        "models/unet.py",
        old="jt.concat([skip, x], dim=1)",
        new="jt.concat([x, skip], dim=1)",
        where="up1*",
        kind=kinds.ORDER,
    ),
    Defect(
        "two groups in the norm",
        "models/unet.py",
        old="self.norm = GroupNorm(4, width)",
        new="self.norm = GroupNorm(2, width)",
        where="stem.norm",
        kind=(kinds.CONSTANT, kinds.FORMULA),
    ),
    Defect(
        "slope of the leaky ReLU left at its default",
        "models/unet.py",
        old="nn.LeakyReLU(0.1)",
        new="nn.LeakyReLU()",
        where="stem.act",
        kind=(kinds.CONSTANT, kinds.BRANCH),
    ),
    Defect(
        "gate detached",
        "models/unet.py",
        old="self.gate(x.mean((2, 3)))",
        new="self.gate(x.detach().mean((2, 3)))",
        where="up1*",
        kind=(kinds.BACKWARD, kinds.DETACHED),
    ),
    Defect(
        "ignored pixels counted in the mean",
        "models/losses.py",
        old="return -chosen.sum() / valid.sum()",
        new="return -chosen.mean()",
        where="*loss_ce*",
        kind=(kinds.CONSTANT, kinds.FORMULA),
        fast=True,
    ),
    Defect(
        "ignored pixels in the dice loss's sizes",
        "models/losses.py",
        old="nn.softmax(logits, dim=1) * valid",
        new="nn.softmax(logits, dim=1)",
        where="*loss_dice*",
        kind=(kinds.CONSTANT, kinds.FORMULA),
    ),
    Defect(
        "dice loss by image",
        "models/losses.py",
        old="both = (found * target).sum((0, 2, 3))\n"
        "        sizes = found.sum((0, 2, 3)) + target.sum((0, 2, 3))",
        new="both = (found * target).sum((2, 3))\n"
        "        sizes = found.sum((2, 3)) + target.sum((2, 3))",
        where="*loss_dice*",
        kind=(kinds.CONSTANT, kinds.FORMULA),
    ),
    Defect(
        "dice loss learns nothing of its size",
        "models/losses.py",
        old="sizes = found.sum((0, 2, 3))",
        new="sizes = found.detach().sum((0, 2, 3))",
        where="*loss_dice*",
        kind=kinds.BACKWARD,
    ),
    Defect(
        "classes in place of category ids",
        "models/__init__.py",
        old="ids = jt.array(CATEGORIES)[labels]",
        new="ids = labels",
        where="*ids*",
        kind=(kinds.FORMULA, kinds.CONSTANT, kinds.CHOICE),
    ),
]
