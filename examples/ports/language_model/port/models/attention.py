"""Attention of several heads with a projection each for queries, keys and values."""

import math

import jittor as jt
from jittor import nn


class MultiheadAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        for linear in (self.q_proj, self.k_proj, self.v_proj, self.out_proj):
            nn.init.constant_(linear.bias, 0.0)

    def reset(self):
        """As one matrix of three times as many rows is drawn."""
        bound = math.sqrt(6 / (4 * self.q_proj.weight.shape[1]))
        for linear in (self.q_proj, self.k_proj, self.v_proj):
            nn.init.uniform_(linear.weight, -bound, bound)

    def split(self, x):
        """(N, L, D) -> (N, heads, L, D / heads)."""
        n, length, width = x.shape
        return x.reshape(n, length, self.heads, width // self.heads).permute(0, 2, 1, 3)

    def execute(self, query, key, value, attn_mask, key_padding_mask):
        q, k, v = (
            self.split(project(x))
            for project, x in ((self.q_proj, query), (self.k_proj, key), (self.v_proj, value))
        )
        scores = jt.matmul(q, k.permute(0, 1, 3, 2)) * (1 / math.sqrt(q.shape[-1]))
        hidden = jt.logical_or(
            attn_mask.reshape(1, 1, *attn_mask.shape),
            key_padding_mask.reshape(key_padding_mask.shape[0], 1, 1, -1),
        )
        scores = jt.ternary(hidden, jt.full_like(scores, -1e30), scores)
        weights = nn.softmax(scores, dim=-1)
        found = jt.matmul(weights, v)
        n, heads, length, width = found.shape
        out = self.out_proj(found.permute(0, 2, 1, 3).reshape(n, length, heads * width))
        return out, weights.mean(1)
