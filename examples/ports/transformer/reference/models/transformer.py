"""A Transformer's encoder (Vaswani et al. 2017) that tells the word at every place.

B sentences, N words of the longest, D channels, V words in all; `padding` [B, N] is true behind a sentence's end.
"""

import math

import torch
from torch import nn


def positions(count, width):
    """[N, D]: sines and cosines in turns, of wavelengths from 2 pi to 10000 * 2 pi."""
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(1e4) / width))
    angles = torch.arange(count, dtype=torch.float64)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)


class EncoderLayer(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.act = nn.GELU()

    def forward(self, x, padding):
        attended, _ = self.self_attn(x, x, x, key_padding_mask=padding, need_weights=False)
        x = self.norm1(x + attended)
        return self.norm2(x + self.linear2(self.act(self.linear1(x))))


class Transformer(nn.Module):
    def __init__(self, words=20, width=16, heads=4, hidden=32, layers=2):
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(words, width)
        found = [EncoderLayer(width, heads, hidden) for _ in range(layers)]
        self.layers = nn.ModuleList(found)
        self.head = nn.Linear(width, words)
        nn.init.normal_(self.embedding.weight, 0, width**-0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, words, padding):
        x = self.embedding(words) * math.sqrt(self.width)
        x = x + positions(words.shape[1], self.width).to(x.dtype)
        for layer in self.layers:
            x = layer(x, padding)
        return self.head(x)  # [B, N, V]


def build_model():
    return Transformer()
