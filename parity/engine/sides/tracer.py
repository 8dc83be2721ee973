"""Watching a run in its framework's process: what enters and leaves every named module, and putting a reference's
values there.

Free, a trace keeps every tensor that crosses the border of a module, so that its value and its
gradient can be asked for afterwards. Forced by a reference (Williams and Zipser 1989 call it teacher
forcing), each of them is kept and then replaced by what the reference had there: an error then
shows where it is made, and nowhere else. The graph falls into pieces, one for each module's own code,
each running from replaced values to computed ones; with the reference's gradients of the computed
values, one backward pass gives the gradients of all pieces, each from its own code alone.

Before: values/nodes.py (names), values/tree.py (what is visited). runner.py asks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import numpy as np

from parity.backends.base import Backend
from parity.engine.judge.crashes import EARLIER, MISFIT, PLACE, describe, is_refusal
from parity.engine.sides.layers import describe_module, fitted, is_cut
from parity.engine.sides.whereabouts import innermost, module_of_error
from parity.engine.values import places, tree
from parity.engine.values.aligned import unlike_modules
from parity.engine.values.nodes import OUTSIDE, ROOT, module_of


class Tracer:
    """Nodes by name, in the order of execution; watches inside of a `with` block.

    "layer1.0.conv1" is what the module of that name returns, "layer1.0.conv1/in[0]" its first argument,
    "NAME/in[mask]" an argument with a name; "[0]" or "[key]" behind it an item of a tuple, list or
    dictionary; "#2" at the end means the second call.

    arrived: the tensors as they were computed; used: those that gradients are taken of (the same value, or
    the reference's); given: those that the run went on with; owners: the module whose code computed each node;
    arguments: positional and named ones of every call, as JSON.
    """

    def __init__(
        self,
        backend: Backend,
        modules: Mapping,
        entered: Callable[[str], None] | None = None,
        reference: Mapping | None = None,
        rounded: bool = False,
        is_constant: Callable[[str], bool] = lambda node: False,
        survive: bool = False,
        dtype: str = "float64",
    ):
        """`modules` by name, the model itself under "".

        `reference` is a trace with "nodes" and "node_gradients"; `rounded` puts its float32 values in.
        is_constant(node): no gradient is asked for there, because nothing before it is trained.
        survive: a module that raises is noted in `crashes`, and a forced run goes on with the reference's results.
        """
        self.backend = backend
        self.reference = reference
        # a run without a total has no gradients, and nothing is asked for where it forces another
        self.wanted = reference.get("node_gradients", {}) if reference is not None else {}
        self.rounded = rounded
        self.is_constant = is_constant
        self.entered = entered
        self.constants: set[int] = set()
        self.given: dict[str, object] = {}
        self.arrived: dict[str, object] = {}
        self.used: dict[str, object] = {}
        self.owners: dict[str, str] = {}
        self.arguments: dict[str, list] = {}
        self.called: dict[str, str] = {}  # FILE:LINE from which each call came
        self.survive, self.dtype = survive, dtype
        self.crashes: dict[str, dict] = {}
        self.results: dict[str, object] = {}  # of every call, see tree.results
        self.stack = [OUTSIDE]
        self.calls: dict[str, int] = {}
        self.modules = {name or ROOT: module for name, module in modules.items()}
        theirs = reference.get("modules", {}) if reference is not None else {}
        self.unlike = unlike_modules(theirs, self.describe()) if theirs else set()  # not forced
        self.misfits: list[str] = []  # what was forced in, or would be, and has another shape
        self.cut: set[str] = set()  # arguments at which the sides are cut otherwise: not forced
        self.order: list[str] = []  # nodes, and choices as "choice NAME", as they came

    def __enter__(self) -> Tracer:
        self.release = [self.backend.surround(m, self.around(n)) for n, m in self.modules.items()]
        return self

    def __exit__(self, *_) -> None:
        """The modules are as they were before."""
        for release in self.release:
            release()

    def around(self, name: str):
        def surround(call):
            def traced(*args, **named):
                number = self.calls[name] = self.calls.get(name, 0) + 1
                suffix = "" if number == 1 else f"#{number}"
                if self.entered is not None:
                    self.entered(name + suffix)
                before = len(self.misfits)
                self.called[name + suffix] = places.caller(sys._getframe(1))
                self.arguments[name + suffix] = [
                    tree.outline(value, self.is_array, lambda part: f"{name}/in{part}{suffix}")
                    for value in (args, named)
                ]
                args = self.visit_all(f"{name}/in", suffix, args)
                named = self.visit_all(f"{name}/in", suffix, named)
                depth = len(self.stack)
                self.stack.append(name)
                try:
                    output = call(*args, **named)
                    return self.leave(name, suffix, output)
                except Exception as error:
                    del self.stack[depth:]
                    return self.after(error, name + suffix, self.misfits[before:])

            return traced

        return surround

    def leave(self, name: str, suffix: str, output):
        """What a call returned, visited."""
        owner = self.stack.pop()
        self.results[name + suffix] = tree.results(
            output, self.is_array, lambda part: name + part + suffix
        )
        return self.visit_all(name, suffix, output, owner)

    def is_array(self, value) -> bool:
        is_plain = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
        return is_plain or self.backend.is_tensor(value)

    def after(self, error: Exception, call: str, misfits: list[str]):
        """What a forced run goes on with after `call`, into which `misfits` were put, raised; else the error itself."""
        if not self.survive or is_refusal(error):
            raise error
        if not getattr(error, "parity_noted", False):
            self.note(call, error, misfits)
            error.parity_noted = True
        known = self.reference.get("results", {}) if self.reference is not None else {}
        if call not in known:
            raise error
        try:
            return tree.rebuilt(known[call], self.taken)
        except (ValueError, KeyError):
            raise error from None

    def attempt(self, function: Callable, *args, **named):
        """What the function gives; None after it raised, where this run survives that."""
        try:
            return function(*args, **named)
        except Exception as error:
            if not self.survive or is_refusal(error):
                raise
            if not getattr(error, "parity_noted", False):
                name = getattr(function, "__name__", "code").removeprefix("watched_")
                where = innermost(error) if "<lambda>" in name else f"{OUTSIDE} {name}"
                self.note(where or f"{OUTSIDE} code", error, self.misfits)
            return None

    def note(self, call: str, error: Exception, misfits: list[str]) -> None:
        """Keeps what is told of an error that came up in `call`: in which module's or function's code, too."""
        place, called = module_of_error(error, self.modules), module_of(call)
        inside = call.startswith(OUTSIDE) or called == ROOT or place.startswith(f"{called}.")
        of = {PLACE: [place] if inside and place else [], MISFIT: misfits, EARLIER: self.misfits}
        noted = {key: found[0] for key, found in of.items() if found}
        self.crashes[call] = describe(error, sys._getframe(1)) | noted

    def taken(self, node: str):
        """The reference's tensor in the place of one that was not computed."""
        used = self.used[node] = self.leaf(node)
        given = self.given[node] = self.alike(used)
        if self.is_constant(node):
            self.constants |= {id(used), id(given)}
        return given

    def alike(self, tensor):
        """A tensor of its own with these values, differentiable when it is."""
        copy = self.backend.identity(tensor)
        return copy if self.backend.is_differentiable(tensor) else self.backend.frozen(copy)

    def visit_all(self, path: str, suffix: str, value, owner: str = ""):
        """`value` with every tensor and array in it visited."""
        return tree.replaced(
            value,
            self.is_array,
            lambda part, tensor: self.visit(path + part + suffix, tensor, owner),
        )

    def visit(self, node: str, tensor, owner: str = ""):
        """Keeps `tensor` under the name `node`; returns what the run is to go on with.

        That is a tensor of its own, so that what writes into it spoils no record. Gradients are taken of another one,
        which shares the memory of `tensor`: they are those of this way alone, of several that a tensor may go.
        `owner` is given for outputs only.
        """
        if isinstance(tensor, np.ndarray):
            return self.visit_plain(node, tensor, owner)
        if owner:
            self.backend.finish([tensor])
        if node not in self.arrived:
            self.order.append(node)
        self.arrived[node], self.owners[node] = tensor, owner or self.stack[-1]
        if not self.is_free(node) and not is_cut(self, node, tensor):
            used = self.leaf(node, tensor)
        else:
            used = (
                tensor.reshape(tensor.shape) if self.backend.is_differentiable(tensor) else tensor
            )
        self.used[node] = used
        given = self.given[node] = self.alike(used)
        if self.is_constant(node) or id(tensor) in self.constants:
            self.constants |= {id(used), id(given)}
        return given

    def visit_plain(self, node: str, array: np.ndarray, owner: str) -> np.ndarray:
        """The same of NumPy's, of which no gradient is asked for."""
        self.order += [] if node in self.arrived else [node]
        self.arrived[node], self.owners[node] = array.copy(), owner or self.stack[-1]
        values = array if self.is_free(node) else self.reference["nodes"][node]
        if values is array or values.shape != array.shape or values.dtype.kind != array.dtype.kind:
            return array
        return (values.astype(np.float32) if self.rounded else values).astype(array.dtype)

    def is_free(self, node: str) -> bool:
        """Whether the run goes on with what it computed there itself."""
        free = self.reference is None or node in self.cut or node not in self.reference["nodes"]
        return free or module_of(node) in self.unlike

    def is_leaf(self, node: str) -> bool:
        """Whether `node` holds a replaced value that a gradient is asked for."""
        return self.reference is not None and node in self.wanted and not self.is_free(node)

    def leaf(self, node: str, tensor=None):
        values = self.reference["nodes"][node]
        if tensor is not None and values.shape != tuple(tensor.shape) and values.size > 1:
            self.misfits.append(f"{node}: {values.shape} for {tuple(tensor.shape)}")
        if values.dtype.kind != "f":
            return self.backend.array(values)
        values = values.astype(np.float32) if self.rounded else values
        if tensor is None or self.is_narrowed(values, tensor):
            leaf = self.backend.array(values.astype(self.dtype))
        else:
            leaf = self.backend.array(values, like=tensor)
        self.backend.set_trainable({node: leaf}, {node} if self.is_leaf(node) else set())
        return leaf

    def is_narrowed(self, values: np.ndarray, tensor) -> bool:
        """Whether a float64 run went over to float32 there, of its own: what comes behind is not to inherit that."""
        return self.dtype == str(values.dtype) == "float64" and "float32" in str(tensor.dtype)

    def gradients(self, total, parameters: dict) -> tuple[dict, dict]:
        """d total / d node and d total / d parameter, both by name, None where there is none.

        Forced: of each piece of code alone, for the reference's gradients of what it computes.
        """
        if self.reference is None:
            nodes = {
                name: tensor
                for name, tensor in self.used.items()
                if self.backend.is_differentiable(tensor) and id(tensor) not in self.constants
            }
            computed, cotangents = [total], [None]
        else:
            nodes = {n: t for n, t in self.used.items() if self.is_leaf(n)}
            computed, cotangents = self.computed(total)
        sources = {id(t): t for t in [*nodes.values(), *parameters.values()]}
        found = dict(zip(sources, self.backend.vjp(computed, cotangents, list(sources.values()))))
        return (
            {name: found[id(t)] for name, t in nodes.items()},
            {name: found[id(t)] for name, t in parameters.items()},
        )

    def computed(self, total) -> tuple[list, list]:
        """What the pieces of code compute, and the reference's gradients of it; the total has gradient 1."""
        tensors, cotangents = [total], [None]
        given = self.wanted
        for node, tensor in self.arrived.items():
            if (
                node not in given
                or self.is_free(node)
                or isinstance(tensor, np.ndarray)
                or not self.backend.is_differentiable(tensor)
            ):
                continue
            values = fitted(given[node], tuple(tensor.shape))
            if values is not None:
                values = values.astype(np.float32) if self.rounded else values
                tensors.append(tensor)
                cotangents.append(self.backend.array(values, like=tensor))
        return tensors, cotangents

    def describe(self) -> dict[str, dict]:
        """Class and plain attributes of every module, for oracles and reports."""
        return {
            name: describe_module(module, self.backend) for name, module in self.modules.items()
        }
