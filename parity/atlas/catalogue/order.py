"""Reductions, arg-reductions, sorting and ties."""

from __future__ import annotations

from parity.atlas.entry import Entry

MATRIX = "x = np.array([[3, 1, 2], [5, 9, 4]], dtype=np.float32)"
TIES = "x = (np.arange(60) * 7 % 4).astype(np.float32)"
UNSTABLE = "cub's radix sort on CUDA is stable, the CPU's std::sort (src/ops/argsort_op.cc) is not"

ENTRIES = {
    "reductions": (
        Entry(
            "argmax-pair",
            "argmax along an axis",
            "x.argmax(1)",
            "x.argmax(1)",
            given=MATRIX,
            safe="x.argmax(1)[0]",
            effect="Jittor returns (index, value); code that unpacks nothing compares tuples",
            cause="__init__.py: argmax returns arg_reduce(...), a pair",
            source="REFERENCE_SYSTEMS 3.5; probes C01",
            operators="argmax",
        ),
        Entry(
            "argmin-pair",
            "argmin along an axis",
            "x.argmin(0)",
            given=MATRIX,
            safe="x.argmin(0)[0]",
            cause="as argmax",
            source="probes C05",
            operators="argmin",
        ),
        Entry(
            "argmax-flat",
            "argmax without an axis",
            "x.argmax()",
            given=MATRIX,
            safe="x.reshape(-1).argmax(0)[0]",
            source="probes C02",
            operators="argmax",
        ),
        Entry(
            "max-pair",
            "max along an axis",
            "x.max(1)[0]",
            "x.max(1)[0]",
            given=MATRIX,
            safe="x.max(1)",
            effect="Jittor returns values only: [0] is the first row's, silently",
            source="REFERENCE_SYSTEMS 3.5; probes C07",
            operators="max min",
        ),
        Entry(
            "max-unpack",
            "unpacking values and indices of max on two rows",
            """
            v, i = x.max(1)
            (v, i)
            """,
            given=MATRIX,
            safe="""
            i, v = x.argmax(1)
            (v, i)
            """,
            effect="on a tensor of two rows it even unpacks: the rows' values, no error",
            source="probes C08",
            operators="max unpack",
        ),
        Entry(
            "max-two",
            "element-wise max of two tensors under the name max",
            "torch.max(x, y)",
            given=f"{MATRIX}\ny = np.full((2, 3), 3, dtype=np.float32)",
            safe="jt.maximum(x, y)",
            source="probes C10",
            operators="max maximum",
        ),
        Entry(
            "max-empty",
            "max of nothing",
            "x[x > 99].max()",
            given=MATRIX,
            effect="-3.4e38 instead of an error: an image without objects gets a best overlap",
            cause="a reduction starts from the operator's neutral element",
            source="REFERENCE_SYSTEMS 3.12; probes C13",
            operators="max empty",
        ),
        Entry(
            "mean-empty",
            "mean of nothing",
            "x[x > 99].mean()",
            given=MATRIX,
            source="probes C18",
            operators="mean empty",
        ),
        Entry(
            "mean-int",
            "mean of integers",
            "x.mean()",
            given="x = np.array([1, 2, 4], dtype=np.int32)",
            effect="Jittor computes, and may truncate; PyTorch refuses",
            source="probes C21",
            operators="mean integer",
        ),
        Entry(
            "sum-bool",
            "sum of booleans",
            "x.sum()",
            given="x = np.array([True, True, False])",
            operators="sum boolean",
        ),
        Entry(
            "cumsum-bool",
            "cumsum of booleans",
            "x.cumsum(0)",
            given="x = np.array([True, True, False, True])",
            safe="x.int32().cumsum(0)",
            effect=(
                "stays boolean: every coordinate of DETR's sine positions is 1, no positional information"
                " at all"
            ),
            cause=(
                "cumsum keeps the input's dtype (misc.py; on CUDA cub_cumsum_op.cc creates the output "
                "with x->dtype())"
            ),
            source="published port, defect 3; probes C40",
            operators="cumsum boolean mask",
        ),
        Entry(
            "cumsum-dtype",
            "cumsum with a dtype",
            "x.cumsum(0, dtype=torch.float32)",
            given="x = np.array([True, True, False, True])",
            safe="x.float32().cumsum(0)",
            source="probes C41",
            operators="cumsum dtype",
        ),
        Entry(
            "cumsum-negative-axis",
            "cumsum along axis -2",
            "x.cumsum(-2)",
            given=MATRIX,
            safe="x.cumsum(0)",
            source="probes C39",
            operators="cumsum axis",
        ),
        Entry(
            "var-biased",
            "the default variance",
            "x.var()",
            given=MATRIX,
            safe="x.reshape(-1).var(dim=0, unbiased=True)",
            effect="divided by n: own normalisation layers and statistics differ",
            cause="__init__.py: var(unbiased=False)",
            source="REFERENCE_SYSTEMS 3.10; probes C30",
            operators="var variance",
        ),
        Entry(
            "std-unbiased",
            "the default standard deviation",
            "x.std()",
            given=MATRIX,
            effect="divided by n - 1, unlike its own var",
            cause="__init__.py: std divides by n - 1",
            operators="std deviation",
        ),
        Entry(
            "norm-default-axis",
            "norm of a matrix without an axis",
            "x.norm()",
            given=MATRIX,
            safe="(x * x).sum().sqrt()",
            effect="a norm per row: gradient norms written so are no total",
            cause="__init__.py: norm(dim=-1)",
            source="probes C33",
            operators="norm",
        ),
        Entry(
            "sum-keepdims",
            "sum with keepdim",
            "x.sum(1, keepdim=True)",
            given=MATRIX,
            operators="sum keepdim",
        ),
        Entry(
            "prod",
            "product along an axis",
            "x.prod(1)",
            given=MATRIX,
            operators="prod",
        ),
        Entry(
            "any-all",
            "any and all along an axis",
            "((x > 4).any(1), (x > 0).all(1))",
            given=MATRIX,
            operators="any all",
        ),
        Entry(
            "logsumexp-large",
            "logsumexp of large values",
            "torch.logsumexp(x, 1)",
            "jt.nn.logsumexp(x, 1)",
            given="x = np.array([[100.0, 100.0]], dtype=np.float32)",
            safe="x.max(1) + (x - x.max(1, keepdims=True)).exp().sum(1).log()",
            effect="overflows to infinity",
            cause="exp, sum, log without taking the maximum off",
            source="probes C43",
            operators="logsumexp",
        ),
        Entry(
            "sum-int-wraps",
            "sum of int32 beyond 2^31",
            "x.sum()",
            given="x = np.full(3, 2**30, dtype=np.int32)",
            effect="wraps: PyTorch sums int32 in int64",
            source="probes C23",
            operators="sum overflow integer",
        ),
        Entry(
            "median-pair",
            "median along an axis",
            "x.median(1)[0]",
            "jt.median(x, 1)[0]",
            given=MATRIX,
            source="probes C28",
            operators="median",
        ),
    ),
    "sorting": (
        Entry(
            "argsort-pair",
            "argsort",
            "x.argsort(0)",
            "x.argsort(0)",
            given="x = np.array([3, 1, 2], dtype=np.float32)",
            safe="x.argsort(0)[0]",
            effect="Jittor returns (index, value)",
            cause="argsort is one operator with two outputs",
            source="REFERENCE_SYSTEMS 3.5; probes D02",
            operators="argsort",
        ),
        Entry(
            "sort-pair",
            "sort",
            """
            v, i = x.sort(0)
            (v, i)
            """,
            given="x = np.array([3, 1, 2], dtype=np.float32)",
            operators="sort",
        ),
        Entry(
            "topk-pair",
            "topk",
            """
            v, i = x.topk(2)
            (v, i)
            """,
            given="x = np.array([3, 1, 2], dtype=np.float32)",
            operators="topk",
        ),
        Entry(
            "argsort-ties",
            "the order of equal values",
            "torch.argsort(x, dim=0, stable=True)",
            "jt.argsort(x, 0)[0]",
            given=TIES,
            safe="""
            key = x * 64 + jt.arange(60).float32()
            jt.argsort(key, 0)[0]
            """,
            effect="equal scores before NMS come in another order: other boxes survive",
            cause=UNSTABLE,
            source="REFERENCE_SYSTEMS 3.6; probes D03",
            operators="argsort stable ties",
            varies=True,
        ),
        Entry(
            "sort-stable-ignored",
            "sort with stable=True",
            "x.sort(dim=0, stable=True)[1]",
            "x.sort(0, stable=True)[1]",
            given=TIES,
            effect="the argument is taken and ignored",
            cause="misc.py: sort(..., stable=False) never looks at it",
            source="probes D36",
            operators="sort stable ties",
            varies=True,
        ),
        Entry(
            "topk-too-many",
            "topk of more than there are",
            "x.topk(5)[0]",
            given="x = np.array([3, 1, 2], dtype=np.float32)",
            effect="fewer come back, without an error: fixed-size proposals shrink",
            source="probes D08",
            operators="topk",
        ),
        Entry(
            "argsort-nan",
            "sorting 1000 numbers, some NaN",
            "len(x.argsort(0))",
            """
            x.argsort(0)[0].numpy()
            1000
            """,
            given="x = np.where(np.arange(1000) % 3 == 0, np.nan, np.arange(1000)).astype(np.float32)",
            effect='"segmentation fault while looking for NaN" of the unfinished reproduction: its likely cause',
            cause="std::sort with < on NaN, which is no order (src/ops/argsort_op.cc)",
            source="unfinished Faster R-CNN reproduction; probes D15, X43, X44",
            operators="argsort topk nms nan crash segmentation fault",
            isolated=True,
            varies=True,
        ),
        Entry(
            "unique-floats",
            "unique of floats that differ behind the point",
            "torch.unique(x)",
            given="x = np.array([1.5, 0.25, 1.25, 0.75, 0.5], dtype=np.float32)",
            safe="jt.array(np.unique(x.numpy()))",
            effect="values are compared as integers: two of four are left",
            cause="misc.py: unique compares in an integer type",
            source="probes D26",
            operators="unique",
        ),
        Entry(
            "unique-ints",
            "unique of integers",
            "torch.unique(x)",
            given="x = np.array([3, 1, 3, 2], dtype=np.int32)",
            operators="unique",
        ),
        Entry(
            "nms-offset",
            "NMS of two boxes with IoU 0.45 without, 0.49 with +1 pixels, at 0.47",
            """
            import torchvision
            torchvision.ops.nms(b, s, 0.47)
            """,
            "jt.nms(jt.concat([b, s[:, None]], 1), 0.47)",
            given="""
            b = np.array([[0, 0, 10, 10], [0, 3.8, 10, 13.8], [30, 30, 40, 40]], dtype=np.float32)
            s = np.array([0.9, 0.8, 0.7], dtype=np.float32)
            """,
            effect="boxes near the threshold are suppressed in one framework only; on normalised boxes all are",
            cause="misc.py: nms adds 1 to widths and heights",
            source="REFERENCE_SYSTEMS 3.7; probes X50, X51",
            operators="nms",
        ),
        Entry(
            "searchsorted",
            "searchsorted",
            "torch.searchsorted(x, v)",
            given="""
            x = np.array([1, 3, 5], dtype=np.float32)
            v = np.array([0, 3, 6], dtype=np.float32)
            """,
            operators="searchsorted",
        ),
    ),
}
