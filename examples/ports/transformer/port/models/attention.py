"""Attention whose projections of queries, keys and values are three layers."""

import jittor as jt
from jittor import init, nn


class MultiheadAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)
        bound = (6 / (4 * width)) ** 0.5  # Xavier's of the three in one
        for projection in (self.q_proj, self.k_proj, self.v_proj):
            init.uniform_(projection.weight, -bound, bound)
            init.constant_(projection.bias, 0)
        init.constant_(self.out_proj.bias, 0)

    def split(self, x):
        """[B, N, D] -> [B, heads, N, D / heads]."""
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(0, 2, 1, 3)

    def execute(self, query, key, value, key_padding_mask):
        q = self.split(self.q_proj(query))
        k = self.split(self.k_proj(key))
        v = self.split(self.v_proj(value))
        scores = jt.matmul(q, k.transpose(0, 1, 3, 2)) * q.shape[-1] ** -0.5
        masked = key_padding_mask[:, None, None, :].expand(scores.shape)
        scores = scores.masked_fill(masked, -1e30)
        found = jt.matmul(nn.softmax(scores, dim=-1), v)
        found = found.transpose(0, 2, 1, 3).reshape(query.shape)
        return self.out_proj(found), None  # as PyTorch's without need_weights
