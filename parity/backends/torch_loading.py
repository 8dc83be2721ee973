"""How PyTorch's weights come in: torch.load, torch.hub, Module.load_state_dict, torchvision's networks by name."""

from __future__ import annotations

import functools
import importlib

import torch
from torch import nn

from parity.backends import replacing


@functools.cache
def answer_loads() -> list:
    """From now on the last of the returned list, where there is one (engine/pretrained.py: Loads), answers what asks
    for weights that are not there."""
    active: list = []
    load, state_from = torch.load, torch.hub.load_state_dict_from_url
    fetch, put = torch.hub.download_url_to_file, nn.Module.load_state_dict

    @functools.wraps(state_from)
    def load_state_dict_from_url(url, *args, **named):
        return as_tensors(active[-1].answer(url)) if active else state_from(url, *args, **named)

    @functools.wraps(fetch)
    def download_url_to_file(url, dst, *args, **named):
        if not (active and active[-1].is_weights(url)):
            fetch(url, dst, *args, **named)

    @functools.wraps(load)
    def load_file(f, *args, **named):
        lost = active and active[-1].is_lost(f)
        return as_tensors(active[-1].answer(str(f))) if lost else load(f, *args, **named)

    @functools.wraps(put)
    def load_state_dict(self, state_dict, *args, **named):
        if active:
            own = {n: tuple(x.shape) for n, x in self.state_dict().items()}
            found = active[-1].filled(state_dict, own)
            state_dict = state_dict if found is state_dict else as_tensors(found)
        return put(self, state_dict, *args, **named)

    replacing.everywhere(state_from, load_state_dict_from_url)
    replacing.everywhere(fetch, download_url_to_file)
    replacing.everywhere(load, load_file)
    nn.Module.load_state_dict = load_state_dict
    return active


def as_tensors(found):
    """The same mapping, its arrays as tensors."""
    for name, values in list(found.items()):
        if not torch.is_tensor(values):
            found[name] = torch.tensor(values)
    return found


def known_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Of torchvision's classifier of that name; {} where there is none."""
    try:
        models = importlib.import_module("torchvision.models")
        with torch.device("meta"):
            network = models.get_model(name, weights=None)
    except Exception:  # not installed, not known, or not to be built without memory
        return {}
    return {n: tuple(x.shape) for n, x in network.state_dict().items()}
