"""What a program hands on: options to functions of other files, weights to load, layers to initialise, flags to set.

Before: the files of a port. After: findings where what is handed on is not there, or reaches nobody.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache

from parity.atlas.lint.code import Code, is_self
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.rules_called import resolved
from parity.atlas.lint.rules_options import declared, holds_options
from parity.atlas.lint.rules_own import NAME
from parity.atlas.lint.rules_unset import LOOSE, heirs_of, held_by, lineage
from parity.atlas.lint.source import constant, keyword, name_of

UNUSED, UNMET, UNCLIPPED = "weights-unread", "init-never-met", "clip-unread"
NORMS = re.compile(
    r"max_(grad_)?norm|clip_(grad|grad_norm|norm|max_norm|value)|grad(ient)?_clip\w*"
)
WEIGHTS = re.compile(
    r"pretrain\w*(path|file|weights?|ckpt)|(ckpt|checkpoint|weights?)_?(path|file)", re.I
)
FLAGS = {  # of jt.flags, as 1.3.11 has them
    *("addr2line_path", "amp_level", "amp_reg", "auto_convert_64_to_32", "cache_path", "cc_flags"),
    *("auto_mixed_precision_level", "cc_path", "cc_type", "check_graph", "compile_options"),
    *("cpu_mem_limit", "device_id", "device_mem_limit", "disable_lock", "enable_tuner"),
    *("exclude_pass", "exec_called", "extra_gdb_cmd", "gdb_attach", "gdb_path", "gopt_disable"),
    *("has_pybt", "jit_search_kernel", "jit_search_rerun", "jit_search_warmup", "jittor_path"),
    *("l1_cache_size", "lazy_execution", "log_file", "log_op_hash", "log_silent", "log_sync"),
    *("log_v", "log_vprefix", "no_fuse", "no_grad", "node_order", "nvcc_flags", "nvcc_path"),
    *("para_opt_level", "profile_memory_enable", "profiler_enable", "profiler_hide_relay"),
    *("profiler_record_peek", "profiler_record_shape", "profiler_rerun", "profiler_warmup"),
    *("python_path", "reuse_array", "rewrite_op", "sync_run", "th_mode", "trace_depth"),
    *("trace_py_var", "trace_var_data", "try_use_32bit_index", "use_acl", "use_corex", "use_cuda"),
    *("use_cuda_host_allocator", "use_device", "use_nfef_allocator", "use_parallel_op_compiler"),
    *("use_rocm", "use_sfrl_allocator", "use_stat_allocator", "use_temp_allocator"),
    *("use_tensorcore", "use_threading"),
}
OTHER_FLAGS = re.compile(r"^(stat_|sfrl_|use_mkl|use_mpi|use_nccl|nccl_|mpi_|cuda_|enable_)")


def options(code: Code) -> Iterator[Finding]:
    """Net(args), where Net of another file reads args.depth, and this one's parser makes none. Told once a call."""
    known = declared(code)
    if known is None:
        return
    known = known | set().union(*(other.sets_outside for other in code.files))
    for call, (name, function, bound) in resolved(code):
        for taken, given in given_to(function, call, bound):
            wanted = isinstance(given, ast.Name) and holds_options(code, given)
            near = function in code.source.parents  # where it is told at the reading
            lacking = [n for n in read_of(function, taken) if n not in known and not near]
            lacking = lacking if wanted else []
            if lacking:
                message = f"{name}() reads {taken}.{lacking[0]}, which no add_argument() makes"
                yield code.found(call, NAME, message)
                break


def given_to(
    function: ast.FunctionDef, call: ast.Call, bound: int
) -> Iterator[tuple[str, ast.AST]]:
    names = [a.arg for a in function.args.args][bound:]
    yield from zip(names, call.args, strict=False)
    yield from ((k.arg, k.value) for k in call.keywords if k.arg)


@lru_cache(maxsize=1000)
def read_of(function: ast.FunctionDef, name: str) -> tuple[str, ...]:
    """Attributes that a function asks of an argument, in order; none where it may be something else, or is asked
    whether it has them."""
    nodes = list(ast.walk(function))
    stored = any(
        isinstance(n, ast.Name) and n.id == name and not isinstance(n.ctx, ast.Load) for n in nodes
    )
    asked = any(
        isinstance(n, ast.Call) and name_of(n.func) in ("hasattr", "getattr", "setattr", "vars")
        for n in nodes
    )
    set_here = {
        n.attr for n in nodes if isinstance(n, ast.Attribute) and not isinstance(n.ctx, ast.Load)
    }
    if stored or asked:
        return ()
    reads = [
        n.attr
        for n in nodes
        if isinstance(n, ast.Attribute)
        and isinstance(n.value, ast.Name)
        and n.value.id == name
        and isinstance(n.ctx, ast.Load)
    ]
    return tuple(dict.fromkeys(r for r in reads if r not in set_here and not r.startswith("_")))


def weights(code: Code) -> Iterator[Finding]:
    """backbone(pretrain_path="resnet50.pth"), whose function never reads pretrain_path."""
    told = set()
    for call, (name, function, bound) in resolved(code):
        for taken, given in given_to(function, call, bound):
            path = constant(given)
            wanted = WEIGHTS.search(taken) and isinstance(path, str) and path
            if wanted and (name, taken) not in told and not reads(function, taken):
                told.add((name, taken))
                yield code.found(call, UNUSED, f"{name}() never reads {taken}: nothing is loaded")


def reads(function: ast.FunctionDef, name: str) -> bool:
    return any(
        isinstance(n, ast.Name) and (n.id == name or n.id == "locals")
        for statement in function.body
        for n in ast.walk(statement)
    )


def met(code: Code) -> Iterator[Finding]:
    """for m in self.children(): if isinstance(m, nn.Conv2d), in a class whose children are ModuleLists."""
    for loop in code.every(ast.For):
        call = loop.iter
        own = isinstance(call, ast.Call) and name_of(call.func) == "children" and not call.args
        own = own and isinstance(call.func, ast.Attribute) and is_self(call.func.value)
        owner = code.source.enclosing(loop, (ast.ClassDef,)) if own else None
        made = kinds_made(code, owner) if owner else set()
        if not made:
            continue
        for test in (n for n in code.within(loop) if isinstance(n, ast.Call)):
            wanted = name_of(test.func) == "isinstance" and len(test.args) == 2
            paths = [code.source.dotted(k) for k in parts(test.args[1])] if wanted else []
            if paths and all(p.startswith("jittor.nn.") for p in paths):
                names = {p.rpartition(".")[2] for p in paths}
                if not names & made:
                    message = f"no child of {owner.name} is a {min(names)}: self.modules()"
                    yield code.found(test, UNMET, message)


def parts(node: ast.AST) -> list[ast.AST]:
    return list(node.elts) if isinstance(node, (ast.Tuple, ast.List)) else [node]


def kinds_made(code: Code, owner: ast.ClassDef) -> set[str]:
    """Layers that a class keeps, where all that its constructor may keep are lists of layers; else none."""
    found = set()
    for node in code.within(owner):
        if not isinstance(node, ast.Assign) or not any(
            isinstance(t, ast.Attribute) and is_self(t.value) for t in node.targets
        ):
            continue
        value = node.value
        path = code.source.dotted(value.func) if isinstance(value, ast.Call) else ""
        if path.startswith("jittor.nn."):
            found.add(path.rpartition(".")[2])
    return found if found and found <= {"ModuleList", "Sequential"} else set()


def flags(code: Code) -> Iterator[Finding]:
    """jt.flags.grad_checkpoint = 1, which there is not."""
    for node in code.every(ast.Attribute):
        path = code.source.dotted(node.value)
        stored = path == "jittor.flags" and isinstance(node.ctx, ast.Store)
        unknown = node.attr not in FLAGS and not OTHER_FLAGS.match(node.attr)
        if stored and unknown and not code.source.is_guarded(node):
            yield code.found(node, "name-missing", f"jt.flags has no {node.attr}")


def halves(code: Code) -> Iterator[Finding]:
    """if self.linear is not None, where __init__ sets self.linear in one branch, and nobody sets it to None."""
    for owner in code.module_classes():
        family, heirs = lineage(code, (code.path, owner)), heirs_of(code, owner.name)
        if family is None or heirs is None or heirs:
            continue
        held = set().union(*(held_by(place[1]) for place in family[1:]))
        stores: dict[str, list[ast.AST]] = {}
        for node in code.within(owner):
            own = isinstance(node, ast.Attribute) and is_self(node.value)
            if own and not isinstance(node.ctx, ast.Load):
                stores.setdefault(node.attr, []).append(node)
        for node in code.within(owner):
            name = asked_for(node)
            if (
                name
                and name not in held
                and branched(code, owner, stores.get(name, []))
                and not code.source.is_guarded(node)
            ):
                yield code.found(
                    node, NAME, f"self.{name} is set in one branch only, and is never None"
                )


def asked_for(node: ast.AST) -> str:
    """ "x" of `self.x is None` and `self.x is not None`."""
    compared = isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Is, ast.IsNot))
    left = node.left if compared and constant(node.comparators[0]) is None else None
    own = isinstance(left, ast.Attribute) and is_self(left.value)
    return left.attr if own and ast.unparse(node.comparators[0]) == "None" else ""


def branched(code: Code, owner: ast.ClassDef, stores: list[ast.AST]) -> bool:
    """Whether all that sets an attribute stands in the body of one `if` without an else, in __init__."""
    branches = {code.source.enclosing(n, (ast.If, *LOOPS)) for n in stores}
    branch = branches.pop() if len(branches) == 1 else None
    if (
        not isinstance(branch, ast.If)
        or branch.orelse
        or LOOSE & {name_of(n) for n in code.within(owner)}
    ):
        return False
    around = code.source.enclosing(branch, (ast.If, *LOOPS))
    function = code.source.enclosing(branch, (ast.FunctionDef,))
    return getattr(function, "name", "") == "__init__" and getattr(around, "name", "") == "__init__"


LOOPS = (ast.For, ast.While, ast.Try, ast.With, ast.FunctionDef)


def clips(code: Code) -> Iterator[Finding]:
    """def train(..., max_norm): steps are taken, the program hands a norm on, and nothing in the function reads it."""
    for function in code.every(ast.FunctionDef):
        taken = [a for a in function.args.args + function.args.kwonlyargs if NORMS.fullmatch(a.arg)]
        if not taken or not code.speaks_jittor(function):
            continue
        within = list(code.within(function))
        steps = any(isinstance(n, ast.Attribute) and n.attr == "step" for n in within)
        read = {n.id for n in within if isinstance(n, ast.Name)}
        for argument in taken:
            if (
                steps
                and not {argument.arg, "locals"} & read
                and handed(code, function, argument.arg)
            ):
                message = f"nothing reads {argument.arg}: the gradients are not clipped"
                yield code.found(argument, UNCLIPPED, message)


def handed(code: Code, function: ast.FunctionDef, name: str) -> bool:
    """Whether a call anywhere gives the norm by its name, and not None."""
    calls = (c for other in code.files for c in other.every(ast.Call))
    given = (keyword(c, name) for c in calls if name_of(c.func) == function.name)
    return any(k and not (isinstance(k.value, ast.Constant) and not k.value.value) for k in given)


RULES = (options, weights, met, flags, halves, clips)
