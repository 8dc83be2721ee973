"""Which function of the C++ sources each kernel calls, for how many items, with which arguments; no framework here.

Every kernel is a function of one work item that writes what no other item writes, so results do not
depend on the number of threads, and gradients need no atomics: a backward item owns some rows of the
gradient and adds what falls on them, region by region. The CPU runs the items in an OpenMP loop, CUDA in
a grid. float32 and float64; empty inputs are fine.
"""

from __future__ import annotations

from dataclasses import dataclass

from jittor_impl.kernel_sources import BILINEAR, COMMON, INCLUDES, NMS, NMS_CPU, NMS_CUDA, ROI_POOL
from jittor_impl.value_sources import SORT_CPU, SPECIAL


def _header(source: str) -> str:
    """In a namespace of its own: Jittor's operator class has methods called forward and backward."""
    return f"{INCLUDES}namespace regions {{{COMMON}{source}}}\nusing regions::Index;\n"


@dataclass(frozen=True)
class Kernel:
    """`function` of `source` for every item from 0 to `items` - 1.

    `items` and `arguments` are C++ expressions over what Jittor's code operator defines: in0_p,
    in0_shape0, in0_type, ..., out0_p, ..., and data["name"].
    """

    source: str
    function: str
    items: str
    arguments: str

    def cpu(self) -> tuple[str, str]:
        """Header and code."""
        loop = f"""
    Index items = {self.items};
    #pragma omp parallel for
    for (Index item = 0; item < items; item++) regions::{self.function}(item, {self.arguments});
    """
        return _header(self.source), loop

    def cuda(self) -> tuple[str, str]:
        """Header and code; what `data` holds is read on the host and passed by value."""
        kernel = f"""
    template <class... A> __global__ void run(Index items, A... a) {{
        Index step = (Index)blockDim.x * gridDim.x;
        for (Index item = (Index)blockIdx.x * blockDim.x + threadIdx.x; item < items; item += step)
            {self.function}(item, a...);
    }}
    """
        launch = f"""
    Index items = {self.items};
    Index blocks = (items + 255) / 256;
    if (items) regions::run<<<blocks < 65535 ? (int)blocks : 65535, 256>>>(items, {self.arguments});
    """
        return _header(self.source + kernel), launch


REGIONS = "regions::items_of(out0_shape0, (Index)out0_shape1 * out0_shape2 * out0_shape3)"
POOLED = "(Index)out0_shape0 * out0_shape1 * out0_shape2 * out0_shape3"
BAND = "regions::band_of(out0_shape2)"  # of the gradient of a map
BANDS = f"(Index)out0_shape0 * out0_shape1 * ((out0_shape2 + {BAND} - 1) / {BAND})"
MAP = "(int)in0_shape1, (int)in0_shape2, (int)in0_shape3"  # channels, height, width
GRADIENT = "(int)in1_shape0, (int)out0_shape1, (int)out0_shape2, (int)out0_shape3"  # regions first
SCALE = '(int)data["size"], (in0_type)data["scale"]'
GRID = '(int)data["ratio"], data["aligned"] != 0, data["crop"] != 0'
KERNELS = {
    "bilinear forward": Kernel(
        BILINEAR, "forward", REGIONS, f"in0_p, in1_p, in2_p, out0_p, {MAP}, {SCALE}, {GRID}"
    ),
    "bilinear backward": Kernel(
        BILINEAR, "backward", BANDS, f"in0_p, in1_p, in2_p, out0_p, {GRADIENT}, {SCALE}, {GRID}"
    ),
    "roi_pool forward": Kernel(
        ROI_POOL, "forward", POOLED, f"in0_p, in1_p, in2_p, out0_p, out1_p, {MAP}, {SCALE}"
    ),
    "roi_pool backward": Kernel(
        ROI_POOL, "backward", BANDS, f"in0_p, in1_p, in2_p, in3_p, out0_p, {GRADIENT}, {SCALE}"
    ),
    "is_finite": Kernel(SPECIAL, "finite", "(Index)out0_shape0", "in0_p, out0_p"),
    "nan_to_num forward": Kernel(
        SPECIAL, "replace", "(Index)out0_shape0", 'in0_p, out0_p, (in0_type)data["value"]'
    ),
    "nan_to_num backward": Kernel(SPECIAL, "passed", "(Index)out0_shape0", "in0_p, in1_p, out0_p"),
    "sort_key": Kernel(SPECIAL, "sort_key", "(Index)out0_shape0", "in0_p, out0_p"),
    "nanmean forward": Kernel(
        SPECIAL, "mean", "(Index)out0_shape0", "in0_p, out0_p, out1_p, (Index)in0_shape1"
    ),
    "nanmean backward": Kernel(
        SPECIAL,
        "shared",
        "(Index)out0_shape0 * out0_shape1",
        "in0_p, in1_p, in2_p, out0_p, (Index)out0_shape1",
    ),
}
CPU_ALONE = {"sort": (_header(SPECIAL), SORT_CPU)}  # CUDA sorts by "sort_key"
BY_HAND = {"nms": ((_header(NMS), NMS_CPU), (_header(NMS), NMS_CUDA))}


def cpu_sources() -> dict[str, tuple[str, str]]:
    """Header and code of every kernel by name, as the CPU runs it."""
    found = {name: kernel.cpu() for name, kernel in KERNELS.items()}
    return found | {name: cpu for name, (cpu, _) in BY_HAND.items()} | CPU_ALONE


def cuda_sources() -> dict[str, tuple[str, str]]:
    """Header and code of every CUDA kernel by name."""
    found = {name: kernel.cuda() for name, kernel in KERNELS.items()}
    return found | {name: cuda for name, (_, cuda) in BY_HAND.items()}
