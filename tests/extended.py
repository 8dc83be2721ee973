"""Convolutions and products of matrices, with their gradients, in NumPy's extended precision: what float64 is held to.

PyTorch's float64 is no measure by itself: on some processors its sums err by several units more than on others.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Gradients = tuple[np.ndarray, ...]


def pair(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


class Windows:
    """What a convolution of x [N, C, H, W] reads, by stride, padding and dilation, and the adjoint of reading it."""

    def __init__(self, x: tuple, kernel: tuple, stride=1, padding=0, dilation=1, groups=1):
        self.shape, self.kernel, self.groups = x, kernel, groups
        self.stride, self.padding, self.dilation = pair(stride), pair(padding), pair(dilation)

    def place(self, i: int, j: int, rows: int, columns: int) -> tuple[slice, slice]:
        """In the padded map, what place (i, j) of the kernel reads for all rows and columns of the output."""
        begin = (i * self.dilation[0], j * self.dilation[1])
        count = ((rows - 1) * self.stride[0] + 1, (columns - 1) * self.stride[1] + 1)
        return tuple(slice(b, b + c, s) for b, c, s in zip(begin, count, self.stride, strict=True))

    def read(self, x: np.ndarray) -> np.ndarray:
        """[N, C, rows, columns, kh, kw]."""
        (top, left), (down, right) = self.padding, self.dilation
        x = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))
        size = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        windows = sliding_window_view(x, size, axis=(2, 3))
        return windows[:, :, :: self.stride[0], :: self.stride[1], ::down, ::right]

    def convolve(self, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """[N, O, rows, columns] for weight [O, C / groups, kh, kw]."""
        windows, out = self.read(x), len(weight) // self.groups
        n, _, rows, columns = windows.shape[:4]
        found = np.zeros((n, len(weight), rows, columns), np.longdouble)
        for g, part in enumerate(np.split(windows, self.groups, axis=1)):
            own = weight[g * out : (g + 1) * out].reshape(out, -1)
            flat = part.transpose(0, 2, 3, 1, 4, 5).reshape(-1, own.shape[1])
            product = (flat @ own.T).reshape(n, rows, columns, out)
            found[:, g * out : (g + 1) * out] = product.transpose(0, 3, 1, 2)
        return found

    def spread(self, dy: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The adjoint in x: [N, C, H, W] for dy [N, O, rows, columns]."""
        n, c, h, w = self.shape
        top, left = self.padding
        padded = np.zeros((n, c, h + 2 * top, w + 2 * left), np.longdouble)
        out, own = len(weight) // self.groups, c // self.groups
        for g in range(self.groups):
            part = dy[:, g * out : (g + 1) * out].transpose(0, 2, 3, 1)
            for i, j in np.ndindex(*self.kernel):
                rows, columns = self.place(i, j, *dy.shape[2:])
                values = part @ weight[g * out : (g + 1) * out, :, i, j]
                padded[:, g * own : (g + 1) * own, rows, columns] += values.transpose(0, 3, 1, 2)
        return padded[:, :, top : top + h, left : left + w]

    def correlate(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """The adjoint in the weight: [O, C / groups, kh, kw]."""
        windows, out = self.read(x), dy.shape[1] // self.groups
        size, found = x.shape[1] // self.groups * np.prod(self.kernel), []
        for g, part in enumerate(np.split(windows, self.groups, axis=1)):
            own = dy[:, g * out : (g + 1) * out].transpose(0, 2, 3, 1).reshape(-1, out)
            flat = part.transpose(0, 2, 3, 1, 4, 5).reshape(-1, size)
            found.append((own.T @ flat).reshape(out, -1, *self.kernel))
        return np.concatenate(found)


def conv2d(dy, x, weight, bias=None, **options) -> Gradients:
    windows = Windows(x.shape, weight.shape[2:], **options)
    y, parts = windows.convolve(x, weight), (windows.spread(dy, weight), windows.correlate(x, dy))
    return biased(y, bias, dy, *parts)


def conv_transpose(dy, x, weight, bias=None, output_padding=0, **options) -> Gradients:
    """What a convolution's gradient does, so that its own gradients are that convolution's other two products."""
    windows = Windows(dy.shape, weight.shape[2:], **options)
    y, parts = windows.spread(x, weight), (windows.convolve(dy, weight), windows.correlate(dy, x))
    return biased(y, bias, dy, *parts)


def biased(y, bias, dy, *parts) -> Gradients:
    if bias is None:
        return y, *parts
    return y + bias[:, None, None], *parts, dy.sum((0, 2, 3))


def matmul(dy, a, b) -> Gradients:
    if b.ndim == 1:
        return a @ b, np.outer(dy, b), a.T @ dy
    parts = dy @ np.swapaxes(b, -1, -2), np.swapaxes(a, -1, -2) @ dy
    return a @ b, *(reduced(p, x.shape) for p, x in zip(parts, (a, b), strict=True))


def linear(dy, x, weight, bias) -> Gradients:
    rows, flat = dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])
    return x @ weight.T + bias, dy @ weight, rows.T @ flat, rows.sum(0)


def reduced(x: np.ndarray, shape: tuple) -> np.ndarray:
    """Sums over what was broadcast from `shape`."""
    x = x.sum(tuple(range(x.ndim - len(shape))))
    return x.sum(tuple(k for k, n in enumerate(shape) if n == 1 and x.shape[k] > 1), keepdims=True)


def by_hand(function: str, inputs: list[np.ndarray], dy: np.ndarray, options: dict) -> list:
    """The result and the gradient of each input for the gradient `dy` of the result, longdouble."""
    given = [x.astype(np.longdouble) for x in (dy, *inputs)]
    return list(globals()[function](*given, **options))
