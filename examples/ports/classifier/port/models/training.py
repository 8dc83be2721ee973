"""One training: warm-up and a drop, decay on weights alone, clipping, and the average of the weights."""

import jittor as jt
from jittor import nn

from .ema import ModelEma

EPOCH = 2  # steps
DROP = 2  # epochs until the rate drops
WARM_UP = 3  # steps


def groups(model, decay):
    """Norms and biases, which are not decayed, and all other parameters."""
    trained = [p for p in model.parameters() if not p.is_stop_grad()]
    plain = [p for p in trained if p.ndim == 1]
    weights = [p for p in trained if p.ndim > 1]
    return [{"params": plain, "weight_decay": 0.0}, {"params": weights, "weight_decay": decay}]


def smoothed(logits, labels, smoothing=0.1):
    classes = logits.shape[1]
    target = (labels.reshape(-1, 1) == jt.arange(classes).reshape(1, -1)).cast(logits.dtype)
    target = target * (1 - smoothing) + smoothing / classes
    return -(target * nn.log_softmax(logits, dim=1)).sum(1).mean()


class Trainer:
    def __init__(self, model, rate=0.1, decay=0.05, largest=1.0):
        self.model, self.rate, self.largest = model, rate, largest
        model.freeze_stem()
        self.optimiser = jt.optim.SGD(groups(model, decay), lr=rate, momentum=0.9)
        self.ema = ModelEma(model)

    def schedule(self, step):
        rate = self.rate * min(1.0, (step + 1) / WARM_UP) * 0.1 ** (step // EPOCH // DROP)
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def step(self, images, labels, step):
        self.schedule(step)
        for module in self.model.modules():  # train() would thaw what is frozen
            module.is_train = True
        self.model.freeze_stem()
        loss = smoothed(self.model(images), labels)
        self.optimiser.zero_grad()
        self.optimiser.backward(loss)
        self.optimiser.clip_grad_norm(self.largest)
        self.optimiser.step()
        self.ema.update(self.model)
        return {"loss": loss, "optimiser": self.optimiser, "ema": self.ema}
