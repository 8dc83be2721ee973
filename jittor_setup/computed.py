"""A tensor that a code operator may have among its inputs."""

from __future__ import annotations

import jittor as jt


def computed(x: jt.Var) -> jt.Var:
    """`x`, but never a bare array of one element: Jittor keeps these as constants in its kernels, and behind the
    backward of a code operator that has one among its inputs the next gradient starts from it instead of from 1."""
    return jt.concat([x, x])[: x.shape[0]] if x.numel() == 1 else x
