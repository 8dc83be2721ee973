"""One training: warm-up and a drop, decay on weights alone, clipping, and the average of the weights."""

import torch
from torch import nn

from .ema import ModelEma

EPOCH = 2  # steps
DROP = 2  # epochs until the rate drops
WARM_UP = 3  # steps


def groups(model, decay):
    """Norms and biases, which are not decayed, and all other parameters."""
    trained = [p for p in model.parameters() if p.requires_grad]
    plain = [p for p in trained if p.ndim == 1]
    weights = [p for p in trained if p.ndim > 1]
    return [{"params": plain, "weight_decay": 0.0}, {"params": weights, "weight_decay": decay}]


class Trainer:
    def __init__(self, model, rate=0.1, decay=0.05, largest=1.0):
        self.model, self.rate, self.largest = model, rate, largest
        model.freeze_stem()
        self.optimiser = torch.optim.SGD(groups(model, decay), lr=rate, momentum=0.9)
        self.criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
        self.ema = ModelEma(model)

    def schedule(self, step):
        rate = self.rate * min(1.0, (step + 1) / WARM_UP) * 0.1 ** (step // EPOCH // DROP)
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def step(self, images, labels, step):
        self.schedule(step)
        self.model.train()
        self.model.freeze_stem()
        loss = self.criterion(self.model(images), labels)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.largest)
        self.optimiser.step()
        self.ema.update(self.model)
        return {"loss": loss, "optimiser": self.optimiser, "ema": self.ema}
