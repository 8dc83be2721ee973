"""Indexing, assignment, views and aliasing."""

from __future__ import annotations

from parity.atlas.entry import Entry

GRID = "x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)"
ROW = "x = np.arange(5, dtype=np.float32)"
MATRIX = "x = np.arange(12, dtype=np.float32).reshape(3, 4)"
PUBLISHED = "README of Ber0ton/DETR-Jittor-and-Pytorch"
UNCHECKED = "getitem and setitem kernels (src/ops/getitem_op.cc, setitem_op.cc) do no bounds check"
NO_VIEWS = (
    "an operation makes a new Var; but a contiguous slice may share its source's memory and be written in place "
    "when it is computed (setitem_gopt.cc: getitem_inplace, setitem_inplace)"
)

ENTRIES = {
    "indexing": (
        Entry(
            "index-pairs",
            "two integer lists index pairwise",
            "x[[0, 1, 2], [3, 0, 1]]",
            given=MATRIX,
            effect='folklore: "Jittor indexes Cartesian". Refuted: it is pairwise, as in NumPy',
            source=PUBLISHED,
            operators="getitem advanced indexing cartesian",
        ),
        Entry(
            "index-pairs-arrays",
            "two integer tensors index pairwise",
            "x[i, j]",
            given=f"{MATRIX}\ni = np.array([0, 2])\nj = np.array([3, 1])",
            effect="folklore refuted, as above",
            source=PUBLISHED,
            operators="getitem advanced indexing cartesian",
        ),
        Entry(
            "index-pairs-3d",
            "two integer tensors on the first two of three axes, as DETR's matched queries",
            "x[i, j]",
            given=f"{GRID}\ni = np.array([0, 1, 1])\nj = np.array([2, 0, 2])",
            effect="the published port's linear-index workaround was unnecessary",
            source=PUBLISHED,
            operators="getitem advanced indexing cartesian",
        ),
        Entry(
            "index-broadcast",
            "index tensors broadcast against each other",
            "x[i[:, None], j]",
            given=f"{MATRIX}\ni = np.array([0, 2])\nj = np.array([1, 3])",
            operators="getitem advanced indexing broadcast",
        ),
        Entry(
            "index-slice-between",
            "index tensors with a slice between them: their axis comes first",
            "x[i, :, j]",
            given=f"{GRID}\ni = np.array([0, 1])\nj = np.array([1, 3])",
            operators="getitem advanced indexing slice",
        ),
        Entry(
            "index-integer-apart",
            "an integer and an index tensor with a slice between them",
            "list(x[0, :, i].shape)",
            given=f"{GRID}\ni = np.array([0, 1])",
            effect="both part from NumPy here, which counts the integer among the arrays and puts their axis first",
            source="parity/suite/test_indexing.py",
            operators="getitem advanced indexing integer slice",
        ),
        Entry(
            "index-after-slice",
            "a slice, then an index tensor",
            "x[:, i]",
            given=f"{GRID}\ni = np.array([2, 0])",
            operators="getitem advanced indexing slice",
        ),
        Entry(
            "index-negative-get",
            "negative integers in an index tensor, reading",
            "x[i]",
            given=f"{ROW}\ni = np.array([-1, 0, -5])",
            effect="1.3.11 wraps; earlier versions read out of bounds",
            source="REFERENCE_SYSTEMS 3.9, narrowed to reading in versions before 1.3.11",
            operators="getitem negative",
        ),
        Entry(
            "index-out-of-range",
            "an index beyond the end",
            "x[i]",
            given=f"{ROW}\ni = np.array([1, 5, 400])",
            safe="""
            assert int(i.max().item()) < x.shape[0], 'index out of range'
            x[i]
            """,
            effect=(
                "reads foreign memory: a wrong label or proposal becomes garbage values, NaN, or a crash "
                "far away"
            ),
            cause=UNCHECKED,
            source="JITTOR.md C; probes A25, A26",
            operators="getitem out of range bounds",
            isolated=True,
            varies=True,
        ),
        Entry(
            "index-int-out-of-range",
            "a Python integer beyond the end",
            "x[7]",
            given=ROW,
            operators="getitem out of range bounds",
        ),
        Entry(
            "index-mask",
            "a boolean mask selects",
            "x[m]",
            given=f"{MATRIX}\nm = np.array([True, False, True])",
            operators="getitem mask boolean",
        ),
        Entry(
            "index-mask-2d",
            "a boolean mask over two axes",
            "x[x > 6]",
            given=MATRIX,
            operators="getitem mask boolean",
        ),
        Entry(
            "index-mask-empty",
            "a mask that selects nothing",
            "x[x > 99]",
            given=MATRIX,
            effect="images without objects work",
            operators="getitem mask boolean empty",
        ),
        Entry(
            "index-mask-wrong-length",
            "a mask longer than its axis",
            "x[m]",
            given=f"{ROW}\nm = np.array([True, False, True, True, False, True, True])",
            effect="a mask of another level or image is taken without a word, and reads foreign memory",
            cause="the mask becomes indices by where(); their range is not looked at",
            source="probes A45, A46",
            operators="getitem mask boolean wrong length",
            isolated=True,
            varies=True,
        ),
        Entry(
            "index-mask-uint8",
            "a uint8 tensor as an index",
            "x[m]",
            given=f"{ROW}\nm = np.array([1, 0, 1, 0, 0], dtype=np.uint8)",
            safe="x[m.bool()]",
            effect="a mask in PyTorch, integers in Jittor: sampled RoIs become copies of rows 0 and 1",
            source="probes A33, X10",
            operators="getitem mask uint8",
        ),
        Entry(
            "index-mask-list",
            "a Python list of booleans as an index",
            "x[[True, False, True, False, False]]",
            given=ROW,
            safe="x[jt.array([True, False, True, False, False])]",
            source="probes A34",
            operators="getitem mask list",
        ),
        Entry(
            "index-mask-numpy",
            "a NumPy array of booleans as an index",
            "x[np_m]",
            given=f"{ROW}\nnp_m = np.array([True, False, True, False, False])",
            safe="x[jt.array(np_m)]",
            source="probes A35",
            operators="getitem mask numpy",
        ),
        Entry(
            "index-float",
            "a float tensor as an index",
            "x[i]",
            given=f"{ROW}\ni = np.array([1.0, 2.7], dtype=np.float32)",
            effect="a forgotten cast goes unnoticed; values are cut",
            source="probes A32",
            operators="getitem float index",
        ),
        Entry(
            "index-negative-step",
            "a slice with a negative step",
            "x[::-1]",
            given=ROW,
            effect="Jittor reverses, PyTorch refuses (flip works in both)",
            source="probes A22",
            operators="getitem slice step flip",
        ),
        Entry(
            "index-slice-beyond",
            "a slice that begins beyond the end",
            "x[7:]",
            given=ROW,
            safe="x[min(7, x.shape[0]):]",
            effect="found by the random expressions: an error instead of nothing; the last, empty chunk of a loop",
            source="parity/suite/test_indexing.py",
            operators="getitem slice empty",
        ),
        Entry(
            "index-slice-empty",
            "a slice of nothing with a step",
            "x[:0:2]",
            given=ROW,
            safe="x[:0]",
            effect="found by the random expressions: one element comes back instead of none",
            source="parity/suite/test_indexing.py",
            operators="getitem slice empty step",
        ),
        Entry(
            "index-none",
            "None adds an axis",
            "tuple(x[:, None].shape)",
            given=ROW,
            operators="getitem none newaxis",
        ),
        Entry(
            "index-ellipsis",
            "an ellipsis and an integer",
            "x[..., 1]",
            given=GRID,
            operators="getitem ellipsis",
        ),
        Entry(
            "index-scalar-shape",
            "one element of a vector",
            "len(x[2].shape)",
            given=ROW,
            effect="Jittor has no scalars: shape [1] where PyTorch has []; cat and stack of losses differ",
            cause="a Var has one axis at least",
            source="REFERENCE_SYSTEMS 3.12; probes A31",
            operators="getitem scalar shape",
        ),
        Entry(
            "gather-negative",
            "gather with a negative index",
            "torch.gather(x, 1, i)",
            given=f"{MATRIX}\ni = np.array([[0], [-1], [2]])",
            effect="labels of -1 (ignored) pick a value instead of raising",
            source="probes B73",
            operators="gather negative",
        ),
        Entry(
            "gather-duplicates-gradient",
            "the gradient of gather with repeated indices adds up",
            """
            w = x.clone().requires_grad_()
            w.gather(1, i).sum().backward()
            w.grad
            """,
            """
            y = x.gather(1, i)
            jt.grad(y.sum(), x)
            """,
            given=f"{MATRIX}\ni = np.array([[0, 0], [1, 1], [3, 3]])",
            operators="gather gradient duplicates",
        ),
    ),
    "assignment": (
        Entry(
            "set-pairs",
            "setting through two integer lists is pairwise",
            """
            x[[0, 1], [2, 3]] = -1.0
            x
            """,
            given=MATRIX,
            effect="folklore refuted for writing, too",
            source=PUBLISHED,
            operators="setitem advanced indexing cartesian",
        ),
        Entry(
            "set-mask",
            "setting through a mask",
            """
            x[m] = -1.0
            x
            """,
            given=f"{MATRIX}\nm = np.array([True, False, True])",
            operators="setitem mask",
        ),
        Entry(
            "set-negative",
            "setting at negative integers of an index tensor",
            """
            x[i] = -1.0
            x
            """,
            given=f"{ROW}\ni = np.array([-1, 0])",
            safe="""
            x[jt.where(i < 0, i + 5, i)] = -1.0
            x
            """,
            effect="writes in front of the array: lost at best, else another array changes, or the process hangs or "
            'dies later (seen here: all three). JITTOR.md\'s "dropped" is the lucky case',
            cause="setitem_op.cc takes the index as it is; getitem_op.cc adds the length to a negative one",
            source="probes B25, B68, B69",
            operators="setitem negative",
            isolated=True,
            varies=True,
        ),
        Entry(
            "set-out-of-range",
            "setting beyond the end",
            """
            x[i] = -1.0
            x
            """,
            given=f"{ROW}\ni = np.array([0, 9])",
            effect="writes into foreign memory",
            cause=UNCHECKED,
            source="probes B26",
            operators="setitem out of range bounds",
            isolated=True,
            varies=True,
        ),
        Entry(
            "set-row-scalar",
            "a row set to a float",
            """
            x[1] = -1.0
            x
            """,
            given=MATRIX,
            safe="""
            x[1, :] = -1.0
            x
            """,
            effect="found by this atlas: ONE element of the row is set. Labels and masks filled row by row stay "
            "what they were. An integer, an array that another operation uses, or `x[1, :]` set the whole row",
            cause="setitem_gopt.cc, setitem_inplace: axes behind the given ones are not counted in inplace_size, so "
            "data of one element pass for the whole slice and share its memory",
            source="this atlas",
            operators="setitem row scalar broadcast",
        ),
        Entry(
            "set-rows-scalar",
            "a slice of one row set to a float",
            """
            x[0:1] = -1.0
            x
            """,
            given=MATRIX,
            safe="""
            x[0:1, :] = -1.0
            x
            """,
            effect="as above",
            cause="as above",
            source="this atlas",
            operators="setitem row slice scalar broadcast",
        ),
        Entry(
            "set-ellipsis-scalar",
            "everything set to a float through an ellipsis",
            """
            x[...] = -1.5
            x
            """,
            given=MATRIX,
            safe="""
            x[:] = -1.5
            x
            """,
            effect="found by the random expressions: one element is set; x[:, :] = -1.5 does the same",
            cause="as set-row-scalar",
            source="parity/suite/test_indexing.py",
            operators="setitem ellipsis scalar broadcast",
        ),
        Entry(
            "set-row-integer",
            "a row set to an integer",
            """
            x[1] = -1
            x
            """,
            given=MATRIX,
            effect="the conversion makes the value an operation of its own, and the whole row is set",
            operators="setitem row scalar broadcast",
        ),
        Entry(
            "set-duplicates-add",
            "x[i] += 1 with a repeated index counts once",
            """
            x[i] += 1.0
            x
            """,
            given=f"{ROW}\ni = np.array([1, 1, 3])",
            operators="setitem duplicates add",
        ),
        Entry(
            "set-chained",
            "assigning into a slice of a slice",
            """
            x[0:2][1] = -1.0
            x
            """,
            given=MATRIX,
            safe="""
            x[1, :] = -1.0
            x
            """,
            effect="nothing happens",
            cause=NO_VIEWS,
            source="probes B16",
            operators="setitem chained slice view",
        ),
        Entry(
            "set-gradient-negative",
            "the gradient through a negative index",
            """
            w = x.clone().requires_grad_()
            (w[i] * 7).sum().backward()
            w.grad
            """,
            "jt.grad((x[i] * 7).sum(), x)",
            given=f"{ROW}\ni = np.array([-1, 0])",
            safe="jt.grad((x[jt.where(i < 0, i + 5, i)] * 7).sum(), x)",
            effect="reading wraps, its gradient does not: lost at best, else written into foreign memory",
            cause="the backward of getitem is a setitem, which does not wrap",
            source="probes B70",
            operators="getitem gradient negative",
            isolated=True,
            varies=True,
        ),
        Entry(
            "index-add-duplicates",
            "index_add with repeated indices",
            "x.index_add(0, i, v)",
            """
            x.index_add_(0, i, v)
            x
            """,
            given=f"{ROW}\ni = np.array([1, 1, 3])\nv = np.array([1.0, 2.0, 4.0], dtype=np.float32)",
            effect="repeated indices overwrite instead of adding up",
            cause="misc.py: index_add_ is x[i] += v",
            source="probes B44",
            operators="index_add scatter duplicates",
        ),
        Entry(
            "scatter-add-duplicates",
            "scatter with reduce='add' and repeated indices",
            "x.scatter_add(0, i, v)",
            "x.scatter(0, i, v, reduce='add')",
            given=f"{ROW}\ni = np.array([1, 1, 3])\nv = np.array([1.0, 2.0, 4.0], dtype=np.float32)",
            operators="scatter add duplicates",
        ),
        Entry(
            "set-int-from-float",
            "writing floats into an integer tensor",
            """
            x[0] = 2.7
            x
            """,
            given="x = np.array([1, 2, 3], dtype=np.int32)",
            operators="setitem cast",
        ),
    ),
    "views": (
        Entry(
            "view-slice",
            "assigning into a slice changes its source",
            """
            y = x[0:2]
            y[0, :] = -1.0
            x
            """,
            given=MATRIX,
            safe="""
            x[0, :] = -1.0
            x
            """,
            effect="masks and boxes prepared through a slice stay unchanged: DETR's `m[:h, :w] = False`",
            cause=NO_VIEWS,
            source="JITTOR.md D; probes B55, X01",
            operators="view slice alias",
        ),
        Entry(
            "view-slice-computed",
            "the same when the slice is computed before its source is looked at",
            """
            y = x[0:2]
            y[0, :] = -1.0
            n = y.sum()
            x
            """,
            """
            y = x[0:2]
            y[0, :] = -1.0
            y.sync()
            x
            """,
            given=MATRIX,
            effect='narrowed by this atlas: "never reaches the original" is not so. The slice shares memory and is '
            "written in place, so the write arrives, but only when the slice is computed",
            cause=NO_VIEWS,
            source="this atlas",
            operators="view slice alias lazy",
        ),
        Entry(
            "view-slice-twice",
            "the source looked at twice, the slice in between",
            """
            y = x[0:2]
            y[0, :] = -1.0
            a = x.numpy().copy()[0, 0]
            b = y.numpy().copy()[0, 0]
            [float(v) for v in (a, b, x.numpy()[0, 0])]
            """,
            given=MATRIX,
            safe="""
            x[0, :] = -1.0
            y = x[0:2]
            a = x.numpy().copy()[0, 0]
            b = y.numpy().copy()[0, 0]
            [float(v) for v in (a, b, x.numpy()[0, 0])]
            """,
            effect="found by this atlas: printing the slice changes the source. What a debugger shows depends on "
            "what it showed before",
            cause=NO_VIEWS,
            source="this atlas",
            operators="view slice alias lazy heisenbug",
        ),
        Entry(
            "view-reshape",
            "assigning into a reshaped tensor changes its source",
            """
            x.view(-1)[0] = -1.0
            x
            """,
            given=MATRIX,
            effect="nothing happens",
            cause=NO_VIEWS,
            source="probes B57, B58",
            operators="view reshape alias",
        ),
        Entry(
            "view-transpose",
            "assigning into a transpose changes its source",
            """
            y = x.transpose(0, 1)
            y[0] = -1.0
            x
            """,
            given=MATRIX,
            cause=NO_VIEWS,
            source="probes B59",
            operators="view transpose alias",
        ),
        Entry(
            "view-clamp-columns",
            "clamping boxes in place by columns",
            """
            x[:, 0::2].clamp_(0, 5)
            x
            """,
            given=MATRIX,
            safe="""
            x[:, 0::2] = x[:, 0::2].clamp(0, 5)
            x
            """,
            effect="boxes are never clipped to the image",
            cause=NO_VIEWS,
            source="probes B67",
            operators="clamp_ in-place view boxes",
        ),
        Entry(
            "view-detach",
            "detach shares storage",
            """
            y = x.detach()
            y[0] = 9.0
            x
            """,
            given=ROW,
            cause=NO_VIEWS,
            source="probes B61",
            operators="detach alias",
        ),
        Entry(
            "view-split",
            "the parts of split share storage",
            """
            a, b = x.split(2, 0)
            a[0] = 9.0
            x
            """,
            given="x = np.arange(4, dtype=np.float32)",
            cause=NO_VIEWS,
            source="probes B64",
            operators="split chunk unbind alias",
        ),
        Entry(
            "view-rows",
            "assigning to the rows of an iteration",
            """
            for row in x:
                row[0] = -1.0
            x
            """,
            given=MATRIX,
            safe="""
            for k in range(3):
                x[k, 0] = -1.0
            x
            """,
            cause=NO_VIEWS,
            source="probes B65",
            operators="iterate rows alias",
        ),
        Entry(
            "view-inplace-argument",
            "x += 1 in a function reaches the caller's tensor",
            """
            def grow(t):
                t += 1
            grow(x)
            x
            """,
            given=ROW,
            effect="the one kind of aliasing there is: the same object",
            source="probes B63",
            operators="iadd in-place alias",
        ),
        Entry(
            "view-numpy",
            "from_numpy shares memory with its array",
            """
            t = torch.from_numpy(np_a)
            np_a[0] = 9.0
            t
            """,
            """
            t = jt.array(np_a)
            np_a[0] = 9.0
            t
            """,
            given="np_a = np.arange(3, dtype=np.float32)",
            effect="Jittor copies",
            source="probes Q02",
            operators="from_numpy array alias",
        ),
        Entry(
            "view-numpy-out",
            "writing to x.numpy() changes the tensor",
            """
            x.numpy()[0] = 9.0
            x
            """,
            given=ROW,
            source="probes Q04",
            operators="numpy alias",
        ),
    ),
}
