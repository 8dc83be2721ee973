"""A decoder of tokens: embeddings, a table of positions, layers that look back only, and logits."""

import math

import jittor as jt
import numpy as np
from jittor import nn

from .attention import MultiheadAttention


def sinusoids(length, width):
    """(length, width): sines in the even columns, cosines in the odd ones."""
    place = np.arange(length)[:, None]
    rate = np.exp(np.arange(0, width, 2) * (-math.log(10000.0) / width))
    table = np.zeros((length, width), dtype=np.float32)
    table[:, 0::2] = np.sin(place * rate)
    table[:, 1::2] = np.cos(place * rate)
    return table


class Layer(nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.self_attn = MultiheadAttention(width, heads)
        self.linear1 = nn.Linear(width, inner)
        self.linear2 = nn.Linear(inner, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def execute(self, x, later, padding):
        y = self.norm1(x)
        y, _ = self.self_attn(y, y, y, attn_mask=later, key_padding_mask=padding)
        x = x + y
        return x + self.linear2(nn.gelu(self.linear1(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, tokens=20, width=32, heads=4, layers=2, length=16):
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(tokens, width)
        self.positions = jt.array(sinusoids(length, width)).stop_grad()
        self.layers = nn.ModuleList([Layer(width, heads, 2 * width) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, tokens)
        nn.init.gauss_(self.embedding.weight, 0, width**-0.5)
        for parameter in self.layers.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        for layer in self.layers:
            layer.self_attn.reset()

    def execute(self, tokens, padding):
        """tokens: (N, L); padding: (N, L), true where there is no token."""
        length = tokens.shape[1]
        later = jt.array(np.triu(np.ones((length, length), dtype=bool), 1))
        x = self.embedding(tokens) * math.sqrt(self.width) + self.positions[:length]
        for layer in self.layers:
            x = layer(x, later, padding)
        return self.head(self.norm(x))


def build_model():
    return Transformer()
