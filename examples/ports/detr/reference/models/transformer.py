"""Encoder and decoder, post-norm, positions added to queries and keys of every layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.q_proj, self.k_proj = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.v_proj, self.out_proj = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, query, key, value, padding=None):
        """[B, Q, D], [B, S, D], [B, S, D], padding bool [B, S], True where not looked at -> [B, Q, D]."""
        batch, length, dim = query.shape

        def split(x):
            return x.reshape(batch, -1, self.heads, dim // self.heads).transpose(1, 2)

        q, k, v = split(self.q_proj(query)), split(self.k_proj(key)), split(self.v_proj(value))
        logits = q @ k.transpose(2, 3) * self.scale  # [B, heads, Q, S]
        if padding is not None:
            logits = logits.masked_fill(padding[:, None, None, :], -1e9)
        mixed = logits.softmax(-1) @ v
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, length, dim))


class EncoderLayer(nn.Module):
    def __init__(self, dim, heads, hidden):
        super().__init__()
        self.self_attn = Attention(dim, heads)
        self.linear1, self.linear2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x, pos, padding):
        x = self.norm1(x + self.self_attn(x + pos, x + pos, x, padding))
        return self.norm2(x + self.linear2(F.relu(self.linear1(x))))


class DecoderLayer(nn.Module):
    def __init__(self, dim, heads, hidden):
        super().__init__()
        self.self_attn, self.cross_attn = Attention(dim, heads), Attention(dim, heads)
        self.linear1, self.linear2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim) for _ in range(3))

    def forward(self, x, memory, query_pos, pos, padding):
        x = self.norm1(x + self.self_attn(x + query_pos, x + query_pos, x))
        x = self.norm2(x + self.cross_attn(x + query_pos, memory + pos, memory, padding))
        return self.norm3(x + self.linear2(F.relu(self.linear1(x))))


class Transformer(nn.Module):
    def __init__(self, dim=16, heads=2, hidden=32, encoders=1, decoders=2):
        super().__init__()
        self.dim = dim
        self.encoder = nn.ModuleList([EncoderLayer(dim, heads, hidden) for _ in range(encoders)])
        self.decoder = nn.ModuleList([DecoderLayer(dim, heads, hidden) for _ in range(decoders)])
        self.norm = nn.LayerNorm(dim)

    def forward(self, x, mask, query_pos, pos):
        """x, pos [B, D, H, W], mask [B, H, W], query_pos [Q, D] -> [layers, B, Q, D]."""
        memory, pos = x.flatten(2).transpose(1, 2), pos.flatten(2).transpose(1, 2)
        padding = mask.flatten(1)
        for layer in self.encoder:
            memory = layer(memory, pos, padding)
        query_pos = query_pos[None].expand(x.shape[0], -1, -1)
        queries, found = torch.zeros_like(query_pos), []
        for layer in self.decoder:
            queries = layer(queries, memory, query_pos, pos, padding)
            found.append(self.norm(queries))
        return torch.stack(found)
