"""One vocabulary for both frameworks: what a translation changes although nothing else does."""

from __future__ import annotations

CALLS = {
    **{"cat": "concat", "execute": "forward", "float32": "float", "int32": "long", "int64": "long"},
    **{"as_tensor": "array", "tensor": "array", "from_numpy": "array", "Parameter": "array"},
    **{"clip": "clamp", "stop_grad": "detach", "axis": "dim", "start_grad": "requires_grad_"},
    **{
        "clip_grad_norm_": "clip_grad_norm",
        "max_pool2d": "max_pool",
        "avg_pool2d": "avg_pool",
        "Var": "array",
    },
    **{
        "cross_entropy": "cross_entropy_loss",
        "binary_cross_entropy_with_logits": "bce_with_logits",
    },
    **{"binary_cross_entropy": "bce", "manual_seed": "set_global_seed", "normal_": "gauss_"},
    **{"multi_head_attention_forward": "MultiheadAttention"},
    **{"mm": "matmul", "bmm": "matmul", "invert": "logical_not"},
    **{"BatchNorm": "BatchNorm2d", "Conv": "Conv2d"},
    **{
        "bool_": "bool",
        "swapaxes": "transpose",
        "permute": "transpose",
        "reshape": "view",
        "flatten": "view",
    },
}
CALLS |= {"square": "pow", "sqr": "pow", "arctan": "atan", "arcsin": "asin", "arccos": "acos"}
CALLS |= {"uniform": "rand", "random": "rand", "rand_like": "rand"}  # drawn evenly, or not
CALLS |= {"gauss": "randn", "normal": "randn", "randn_like": "randn"}
CALLS |= {"clamp_": "clamp", "relu_": "relu", "sigmoid_": "sigmoid", "ternary": "where"}
FUNCTIONS = {  # of layers
    **{"ReLU": "relu", "Relu": "relu", "ReLU6": "relu6", "GELU": "gelu", "SiLU": "silu"},
    **{"LeakyReLU": "leaky_relu", "Leaky_relu": "leaky_relu", "Sigmoid": "sigmoid", "Tanh": "tanh"},
    **{"Softmax": "softmax", "LogSoftmax": "log_softmax", "Dropout": "dropout"},
    **{"Upsample": "interpolate", "CrossEntropyLoss": "cross_entropy_loss", "KLDivLoss": "kl_div"},
    **{"MSELoss": "mse_loss", "L1Loss": "l1_loss", "SmoothL1Loss": "smooth_l1_loss"},
    **{"BCELoss": "bce", "BCEWithLogitsLoss": "bce_with_logits"},
    **{"MaxPool2d": "max_pool", "AvgPool2d": "avg_pool"},
    **dict.fromkeys(("ConstantPad2d", "ZeroPad2d", "ReflectionPad2d", "ReplicationPad2d"), "pad"),
}
INSTEAD = {  # what does the same otherwise
    "avg_pool": {"mean", "adaptive_avg_pool2d", "AdaptiveAvgPool2d", "interpolate"},
    "max_pool": {"max", "adaptive_max_pool2d", "AdaptiveMaxPool2d"},
    "pad": {"concat", "zeros"},
    "bce_with_logits": {"log", "exp", "softplus", "logsigmoid"},
    "cross_entropy_loss": {"log_softmax", "log", "logsumexp", "nll_loss"},
    "l1_loss": {"abs"},
    "smooth_l1_loss": {"abs"},
    "mse_loss": {"pow"},
    "interpolate": {"resize", "upsample", "Upsample", "repeat_interleave"},
    "rand": {"bernoulli", "uniform_", "randperm"},
    "gauss_": {"randn", "trunc_normal_"},
    "trunc_normal_": {"randn", "gauss_"},  # it cuts at 2, far out of what it is used for
}
TWO_ARRAYS = {"max": "maximum", "min": "minimum"}
# what changes values, gradients or training wherever it is left out, and has one name on each side
OPERATIONS = {
    *FUNCTIONS.values(),
    *("clip_grad_norm", "clip_grad_value_", "scheduler.step", "layer_norm", "group_norm", "gauss_"),
    *("trunc_normal_", "xavier_uniform_", "kaiming_normal_", "kaiming_uniform_", "uniform_"),
    *("CenterCrop", "RandomHorizontalFlip", "RandomVerticalFlip", "ColorJitter", "RandomRotation"),
    *("clamp", "cumsum", "nms", "topk", "flip", "roll", "softplus", "logsigmoid", "rand", "randn"),
}
NAMES = {"execute": "forward"}
# what only one of the two needs to say, or what says nothing of the numbers
IGNORED_CALLS = {
    *(
        "to",
        "cuda",
        "cpu",
        "item",
        "numpy",
        "print",
        "isinstance",
        "super",
        "__init__",
        "len",
        "range",
    ),
    *(
        "contiguous",
        "sync",
        "sync_all",
        "gc",
        "backward",
        "zero_grad",
        "device",
        "is_available",
        "str",
    ),
    *(
        "list",
        "tuple",
        "dict",
        "set",
        "int",
        "float",
        "bool",
        "long",
        "format",
        "join",
        "append",
        "zip",
    ),
    *(
        "enumerate",
        "hasattr",
        "getattr",
        "setattr",
        "no_grad",
        "detach",
        "requires_grad_",
        "synchronize",
    ),
    *(
        "get",
        "keys",
        "values",
        "items",
        "array",
        "clone",
        "copy",
        "size",
        "dim",
        "numel",
        "type",
        "view",
    ),
    *(
        "sorted",
        "reversed",
        "max_memory_allocated",
        "empty_cache",
        "type_as",
        "expand_as",
        "double",
    ),
    *("autocast", "Variable", "FloatTensor", "mul", "mul_", "add", "add_", "div", "div_", "eq"),
}
_ADAM = {"betas", "amsgrad", "eps", "weight_decay"}
WORDS = {  # of calls, keywords that change what is computed
    **{"Adam": _ADAM, "AdamW": _ADAM, "RMSprop": {"alpha", "momentum", "weight_decay", "eps"}},
    "SGD": {"momentum", "weight_decay", "nesterov", "dampening"},
    "interpolate": {"align_corners", "mode"},
    **{"BatchNorm2d": {"eps", "momentum", "affine"}, "LayerNorm": {"eps"}, "GroupNorm": {"eps"}},
    "cross_entropy_loss": {"weight", "ignore_index", "label_smoothing", "reduction"},
    "bce_with_logits": {"weight", "pos_weight", "reduction"},
    **{name: {"reduction"} for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "kl_div")},
}
IGNORED_NUMBERS = {0, 1, -1, 2, 255}


def common_call(name: str) -> str:
    name = CALLS.get(name, name)
    return FUNCTIONS.get(name, name)


def common_name(name: str) -> str:
    return NAMES.get(name, name)
