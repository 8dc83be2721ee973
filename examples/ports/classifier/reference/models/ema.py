"""An average of the weights, statistics included, for evaluation."""

import copy

import torch


class ModelEma:
    def __init__(self, model, decay=0.9):
        self.module = copy.deepcopy(model).eval()
        self.decay = decay
        for parameter in self.module.parameters():
            parameter.requires_grad_(False)

    @torch.no_grad()
    def update(self, model):
        theirs = model.state_dict()
        for name, mine in self.module.state_dict().items():
            if mine.is_floating_point():
                mine.mul_(self.decay).add_(theirs[name], alpha=1 - self.decay)
            else:
                mine.copy_(theirs[name])
