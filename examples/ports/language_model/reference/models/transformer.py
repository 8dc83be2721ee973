"""A decoder of tokens: embeddings, a table of positions, layers that look back only, and logits."""

import math

import torch
from torch import nn
from torch.nn import functional as F


def sinusoids(length, width):
    """(length, width): sines in the even columns, cosines in the odd ones."""
    place = torch.arange(length).unsqueeze(1)
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    table = torch.zeros(length, width)
    table[:, 0::2] = torch.sin(place * rate)
    table[:, 1::2] = torch.cos(place * rate)
    return table


class Layer(nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, heads, dropout=0.0, batch_first=True)
        self.linear1 = nn.Linear(width, inner)
        self.linear2 = nn.Linear(inner, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x, later, padding):
        y = self.norm1(x)
        y, _ = self.self_attn(y, y, y, attn_mask=later, key_padding_mask=padding)
        x = x + y
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, tokens=20, width=32, heads=4, layers=2, length=16):
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(tokens, width)
        self.register_buffer("positions", sinusoids(length, width))
        self.layers = nn.ModuleList(Layer(width, heads, 2 * width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, tokens)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, tokens, padding):
        """tokens: (N, L); padding: (N, L), true where there is no token."""
        length = tokens.shape[1]
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        x = self.embedding(tokens) * math.sqrt(self.width) + self.positions[:length]
        for layer in self.layers:
            x = layer(x, later, padding)
        return self.head(self.norm(x))


def build_model():
    return Transformer()
