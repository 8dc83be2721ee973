"""How PyTorch's weights come in: torch.load, torch.hub, Module.load_state_dict, torchvision's networks by name."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from parity.backends import replacing


@contextmanager
def answering(loads) -> Iterator[None]:
    """Within the block `loads` (engine/sides/pretrained.py: Loads) answers what asks for weights that are not there."""
    load, state_from = torch.load, torch.hub.load_state_dict_from_url
    fetch, put = torch.hub.download_url_to_file, nn.Module.load_state_dict

    @functools.wraps(state_from)
    def load_state_dict_from_url(url, *args, **named):
        return as_tensors(loads.answer(url))

    @functools.wraps(fetch)
    def download_url_to_file(url, dst, *args, **named):
        if not loads.is_weights(url):
            fetch(url, dst, *args, **named)

    @functools.wraps(load)
    def load_file(f, *args, **named):
        lost = loads.is_lost(f)
        return as_tensors(loads.answer(str(f))) if lost else load(f, *args, **named)

    @functools.wraps(put)
    def load_state_dict(self, state_dict, *args, **named):
        own = {n: tuple(x.shape) for n, x in self.state_dict().items()}
        found = loads.filled(state_dict, own)
        state_dict = state_dict if found is state_dict else as_tensors(found)
        return put(self, state_dict, *args, **named)

    others = {state_from: load_state_dict_from_url, fetch: download_url_to_file, load: load_file}
    with replacing.replaced(others):
        nn.Module.load_state_dict = load_state_dict
        try:
            yield
        finally:
            nn.Module.load_state_dict = put


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
