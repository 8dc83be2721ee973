"""An average of the weights, statistics included, for evaluation."""


class ModelEma:
    def __init__(self, model, decay=0.9):
        self.decay = decay
        self.module = {k: v.clone().stop_grad() for k, v in model.state_dict().items()}

    def update(self, model):
        for name, theirs in model.state_dict().items():
            mine = self.module[name]
            mine.update(mine * self.decay + theirs.detach() * (1 - self.decay))
