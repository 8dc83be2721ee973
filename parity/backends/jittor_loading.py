"""How Jittor's weights come in: jt.load, Module.load and load_parameters, its own networks by name."""

from __future__ import annotations

import functools
import importlib

import jittor_setup
from parity.backends import replacing

jt = jittor_setup.import_jittor()


@functools.cache
def answer_loads() -> list:
    """From now on the last of the returned list, where there is one (engine/pretrained.py: Loads), answers what asks
    for weights that are not there."""
    active: list = []
    load, put = jt.load, jt.nn.Module.load_parameters  # Module.load calls both
    fetch = importlib.import_module("jittor_utils.misc").download_url_to_local

    @functools.wraps(load)
    def load_file(path):
        lost = active and active[-1].is_lost(path)
        return as_vars(active[-1].answer(str(path))) if lost else load(path)

    @functools.wraps(fetch)
    def download_url_to_local(url, *args, **named):
        if not (active and active[-1].is_weights(url)):
            fetch(url, *args, **named)

    @functools.wraps(put)
    def load_parameters(self, params):
        if active:
            own = {n: tuple(x.shape) for n, x in self.state_dict().items()}
            found = active[-1].filled(params, own)
            params = params if found is params else as_vars(found)
        return put(self, params)

    replacing.everywhere(load, load_file)
    replacing.everywhere(fetch, download_url_to_local)
    jt.nn.Module.load_parameters = load_parameters
    return active


def as_vars(found):
    """The same mapping, its arrays as Vars."""
    for name, values in list(found.items()):
        if not isinstance(values, jt.Var):
            found[name] = jt.array(values)
    return found


def known_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Of Jittor's own classifier of that name; {} where there is none."""
    build = getattr(importlib.import_module("jittor.models"), name, None)
    if not callable(build):
        return {}
    try:
        network = build()
    except Exception:  # no network, or one that wants arguments
        return {}
    if not isinstance(network, jt.nn.Module):
        return {}
    return {n: tuple(x.shape) for n, x in network.state_dict().items()}
