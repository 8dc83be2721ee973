"""What a value may be, and which of Jittor's functions and methods make which."""

from __future__ import annotations

from dataclasses import dataclass

VAR, PARAMETER, NUMPY, TORCH = "Var", "parameter", "NumPy array", "torch tensor"
LIST, TUPLE, DICT, NUMBER, STR, SHAPE = "list", "tuple", "dict", "number", "string", "shape"
MODULE, TORCH_MODULE, OPTIMISER, SCHEDULER = "module", "torch module", "optimiser", "scheduler"
OBJECT = "object"  # of a class of the program's own that is no module
TO_ARRAY = "transform"  # of jittor.transform, that gives NumPy's arrays
PAIR = "pair"  # (index, value), as argmax and argsort return


@dataclass(frozen=True)
class Value:
    """kind "" is unknown. dtype: "bool" where it shows. axes: their number, where it shows.

    items: of tuples and pairs; element: of what is looped over; view: a part of another Var, cut out by a slice.
    made: of NumPy's arrays, where PyTorch has a tensor: by what; of Jittor's modules: by which class. cls: of modules
    and objects, the program's own class.
    """

    kind: str = ""
    dtype: str = ""
    axes: int | None = None
    items: tuple[Value, ...] = ()
    element: Value | None = None
    view: bool = False
    made: str = ""
    cls: str = ""

    @property
    def is_pair(self) -> bool:
        return self.kind == PAIR


NOTHING = Value()
INDEX_AND_VALUE = Value(PAIR, items=(Value(VAR, dtype="int"), Value(VAR)))
VALUE_AND_INDEX = Value(TUPLE, items=(Value(VAR), Value(VAR, dtype="int")))
RESULTS = {  # of functions and methods of Jittor that do not give one Var
    **dict.fromkeys(("argmax", "argmin", "argsort"), INDEX_AND_VALUE),
    **dict.fromkeys(("sort", "topk", "kthvalue"), VALUE_AND_INDEX),
    **dict.fromkeys(
        ("split", "chunk", "unbind", "meshgrid"), Value(LIST, element=Value(VAR, view=True))
    ),
    **dict.fromkeys(("item", "numel", "dim"), Value(NUMBER)),
    **dict.fromkeys(("numpy", "fetch_sync"), Value(NUMPY)),
    "tolist": Value(LIST),
    "size": NOTHING,
}
BOOLEAN_METHODS = {
    *("bool", "logical_not", "logical_and", "logical_or", "logical_xor", "isnan", "isinf"),
    *("isfinite", "greater", "less", "equal", "not_equal", "greater_equal", "less_equal", "eq"),
    *("ne", "gt", "lt", "ge", "le", "any", "all"),
}
MAKERS = {
    *("zeros", "ones", "full", "rand", "randn", "empty", "zeros_like", "ones_like", "full_like"),
    *("array", "arange", "linspace", "eye", "float32", "Var", "randint", "uniform", "normal"),
    *("concat", "cat", "stack", "from_numpy", "tensor"),
}
JITTOR_METHODS = {  # names that only a Var has
    *("float32", "int32", "float16", "stop_grad", "start_grad", "fetch_sync"),
}
NOT_A_VAR = {  # functions of jittor's top level that give something else
    *(
        "load",
        "save",
        "grad",
        "no_grad",
        "enable_grad",
        "flag_scope",
        "profile_scope",
        "log_capture",
    ),
    *(
        "deepcopy",
        "copy",
        "partial",
        "OrderedDict",
        "wraps",
        "jit_op",
        "set_global_seed",
        "sync_all",
        "gc",
        "display_memory_info",
        "dirty_fix_pytorch",
    ),
    *("get_len", "print_tree", "attrs", "liveness_info", "seed", "set_seed", "Function", "Module"),
    *(
        "number_of_hold_vars",
        "number_of_lived_vars",
        "has_grad",
        "start_grad",
        "rank",
        "world_size",
    ),
}
OF_OTHERS = {  # methods of modules, dictionaries, lists and strings, that no Var has
    *("parameters", "named_parameters", "state_dict", "load_state_dict", "modules", "children"),
    *(
        "eval",
        "train",
        "apply",
        "keys",
        "values",
        "items",
        "get",
        "append",
        "extend",
        "pop",
        "copy",
    ),
    *("load", "save", "execute", "forward", "split", "join", "format", "strip", "shutdown"),
}
