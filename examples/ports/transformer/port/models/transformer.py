"""A Transformer's encoder (Vaswani et al. 2017) that tells the word at every place.

B sentences, N words of the longest, D channels, V words in all; `padding` [B, N] is true behind a sentence's end.
"""

import math

import jittor as jt
import numpy as np
from jittor import nn

from .attention import MultiheadAttention


def positions(count, width):
    """[N, D]: sines and cosines in turns, of wavelengths from 2 pi to 10000 * 2 pi."""
    rates = np.exp(np.arange(0, width, 2) * (-math.log(1e4) / width))
    angles = np.arange(count)[:, None] * rates
    return np.stack([np.sin(angles), np.cos(angles)], 2).reshape(count, width)


class EncoderLayer(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.self_attn = MultiheadAttention(width, heads)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.act = nn.GELU()

    def execute(self, x, padding):
        attended, _ = self.self_attn(x, x, x, key_padding_mask=padding)
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
        nn.init.gauss_(self.embedding.weight, 0, width**-0.5)
        nn.init.constant_(self.head.bias, 0)

    def execute(self, words, padding):
        x = self.embedding(words) * math.sqrt(self.width)
        x = x + jt.array(positions(words.shape[1], self.width)).cast(x.dtype)
        for layer in self.layers:
            x = layer(x, padding)
        return self.head(x)  # [B, N, V]


def build_model():
    return Transformer()
