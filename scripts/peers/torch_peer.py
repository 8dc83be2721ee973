"""What a public PyTorch implementation needs around it to be trained and asked as its recipe says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from door.threads import threads
from neutral import parameters
from neutral.config import Config
from neutral.data.batching import Batch
from neutral.errors import InputError
from neutral.weights.layout import canonical_shapes
from neutral.weights.recognising import named_source
from neutral.weights.rules import their_names
from scripts.peers import SYSTEMS

COUNTER = "num_batches_tracked"  # batch normalisation's, of no use in frozen ones


class TorchPeer:
    """`losses(batch)` and `scores(batch)` are the subclass's; the optimiser is PyTorch's, with our groups."""

    version = ""
    box_head: nn.Module | None = None

    def __init__(self, system: str, config: Config, device: str):
        settle(device)
        self.system, self.config, self.device = SYSTEMS[system], config, torch.device(device)
        self.model = self.build().to(self.device)
        self.optimiser = self.make_optimiser(self.name_trained())

    def build(self) -> nn.Module:
        raise NotImplementedError

    def losses(self, batch: Batch) -> torch.Tensor:
        """The weighted total."""
        raise NotImplementedError

    def scores(self, batch: Batch) -> list[torch.Tensor]:
        raise NotImplementedError

    def name_trained(self) -> dict[str, str]:
        """Our names of theirs, of the parameters that the recipe trains; the others are frozen."""
        source, ours = named_source(self.system.naming), {}
        for key in canonical_shapes(self.config):
            if parameters.is_trainable(key, self.config):
                ours |= {name: key for name, _ in their_names(source, key, self.config)}
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in ours)
        return {name: ours[name] for name, p in self.model.named_parameters() if p.requires_grad}

    def make_optimiser(self, trained: dict[str, str]) -> torch.optim.Optimizer:
        options, groups = self.config.optimiser, {}
        rates = parameters.rates(trained.values(), self.config, 0)
        decays = parameters.decays(trained.values(), self.config)
        for name, parameter in self.model.named_parameters():
            if key := trained.get(name):
                groups.setdefault((rates[key], decays[key]), []).append(parameter)
        found = [{"params": p, "lr": r, "weight_decay": d} for (r, d), p in groups.items()]
        if options.kind == "sgd":
            return torch.optim.SGD(found, lr=options.lr, momentum=options.momentum)
        return torch.optim.AdamW(found, lr=options.lr, betas=options.betas, eps=options.eps)

    def load(self, weights: dict[str, np.ndarray]) -> None:
        """Every parameter and buffer of theirs, and nothing else; InputError names what does not fit."""
        values = {name: torch.as_tensor(array) for name, array in weights.items()}
        try:
            missing, unexpected = self.model.load_state_dict(values, strict=False)
        except RuntimeError as error:
            raise InputError(f"{self.system.label} is not this configuration: {error}") from None
        missing = [name for name in missing if not name.endswith(COUNTER)]
        if missing or unexpected:
            named = ", ".join([*missing, *unexpected][:3])
            raise InputError(f"{self.system.label} is not this configuration: {named}")

    def train(self, batch: Batch) -> float:
        self.model.train()
        total = self.losses(batch)
        self.optimiser.zero_grad()
        total.backward()
        if self.config.optimiser.clip_max_norm:
            trained = [p for group in self.optimiser.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(trained, self.config.optimiser.clip_max_norm)
        self.optimiser.step()
        return total.item()

    def detect(self, batch: Batch) -> list[np.ndarray]:
        self.model.eval()
        with torch.no_grad():
            return [s.cpu().numpy() for s in self.scores(batch)]

    def finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def watch(self, seen: list[int]) -> Callable[[], None]:
        if self.box_head is None:
            return lambda: None
        hook = self.box_head.register_forward_pre_hook(
            lambda module, arguments: seen.append(len(arguments[0]))
        )
        return hook.remove

    def describe(self) -> dict:
        trained = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        environment = {
            "framework": "torch",
            "version": str(torch.__version__),
            "package": self.version,
        }
        environment["threads"] = torch.get_num_threads()
        return {"environment": environment, "trained parameters": trained}

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(array, device=self.device)


def settle(device: str) -> None:
    """The switches of torch_impl/runtime.py, but for the default device, which slows every call."""
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: PyTorch finds no usable CUDA GPU; use cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.set_flush_denormal(False)
    if count := threads():
        torch.set_num_threads(count)
