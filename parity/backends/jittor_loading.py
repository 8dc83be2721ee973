"""How Jittor's weights come in: jt.load, Module.load and load_parameters, its own networks by name."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from contextlib import contextmanager

import jittor_setup
from parity.backends import replacing

jt = jittor_setup.import_jittor()


@contextmanager
def answering(loads) -> Iterator[None]:
    """Within the block `loads` (engine/sides/pretrained.py: Loads) answers what asks for weights that are not there."""
    load, put = jt.load, jt.nn.Module.load_parameters  # Module.load calls both
    fetch = importlib.import_module("jittor_utils.misc").download_url_to_local

    @functools.wraps(load)
    def load_file(path):
        return as_vars(loads.answer(str(path))) if loads.is_lost(path) else load(path)

    @functools.wraps(fetch)
    def download_url_to_local(url, *args, **named):
        if not loads.is_weights(url):
            fetch(url, *args, **named)

    @functools.wraps(put)
    def load_parameters(self, params):
        own = {n: tuple(x.shape) for n, x in self.state_dict().items()}
        found = loads.filled(params, own)
        return put(self, params if found is params else as_vars(found))

    with replacing.replaced({load: load_file, fetch: download_url_to_local}):
        jt.nn.Module.load_parameters = load_parameters
        try:
            yield
        finally:
            jt.nn.Module.load_parameters = put


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
