"""DETR's transformer: encoder, decoder, positions added at every attention, pre- or post-norm.

Follows facebookresearch/detr models/transformer.py. Attention is written out, with the parameter
names of torch.nn.MultiheadAttention, so that both frameworks run the same lines. One deviation: a
row of attention whose keys are all padding gives the mean of the values, not NaN; no image has one.

L query length, S key length, B batch, D hidden dimension, N heads, E = D / N, Q object queries.
Sequences come first, as in the reference: [L, B, D].
"""

from __future__ import annotations

from jittor_impl import ops
from jittor_impl.dropout import Dropout
from jittor_impl.runtime import nn
from neutral.config import TransformerConfig


class Tap(nn.Module):
    """Gives an intermediate value a name in the trace; changes nothing."""

    def execute(self, x):
        return x


class LayerNorm(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.weight = ops.parameter(config.hidden_dim)
        self.bias = ops.parameter(config.hidden_dim)
        self.eps = config.norm_eps

    def execute(self, x):
        return ops.layer_norm(x, self.weight, self.bias, self.eps)


class MultiheadAttention(nn.Module):
    """Scaled dot-product attention over N heads; q, k, v stacked in that order in `in_proj_weight`."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.dim = config.hidden_dim
        self.heads = config.heads
        self.in_proj_weight = ops.parameter(3 * self.dim, self.dim)
        self.in_proj_bias = ops.parameter(3 * self.dim)
        self.out_proj = nn.Linear(self.dim, self.dim)
        self.q, self.k, self.v = Tap(), Tap(), Tap()
        self.dropout = Dropout(config.dropout)

    def project(self, x, part: int):
        """[L, B, D] -> [B, N, L, E] with the q (0), k (1) or v (2) rows of the input projection."""
        rows = slice(part * self.dim, (part + 1) * self.dim)
        x = ops.linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows])
        x = x.reshape(x.shape[0], x.shape[1], self.heads, self.dim // self.heads)
        return ops.permute(x, 1, 2, 0, 3)

    def execute(self, query, key, value, bias):
        """query [L, B, D], key and value [S, B, D], bias [B, 1, 1, S] or None -> [L, B, D]."""
        q = self.q(self.project(query, 0) * ops.scalar((self.dim // self.heads) ** -0.5, query))
        k = self.k(self.project(key, 1))
        v = self.v(self.project(value, 2))
        logits = q @ ops.permute(k, 0, 1, 3, 2)  # [B, N, L, S]
        if bias is not None:
            logits = logits + bias
        weights = self.dropout(ops.softmax(logits, 3))
        mixed = ops.permute(weights @ v, 2, 0, 1, 3)  # [L, B, N, E]
        return self.out_proj(mixed.reshape(mixed.shape[0], mixed.shape[1], self.dim))


class EncoderLayer(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.pre_norm = config.pre_norm
        self.self_attn = MultiheadAttention(config)
        self.linear1 = nn.Linear(config.hidden_dim, config.feedforward_dim)
        self.dropout = Dropout(config.dropout)
        self.linear2 = nn.Linear(config.feedforward_dim, config.hidden_dim)
        self.norm1 = LayerNorm(config)
        self.norm2 = LayerNorm(config)
        self.dropout1 = Dropout(config.dropout)
        self.dropout2 = Dropout(config.dropout)

    def execute(self, x, bias, position):
        """x and position [S, B, D], bias [B, 1, 1, S] -> [S, B, D]."""
        if self.pre_norm:
            normed = self.norm1(x)
            x = x + self.dropout1(self.attend(normed, bias, position))
            return x + self.dropout2(self.feed_forward(self.norm2(x)))
        x = self.norm1(x + self.dropout1(self.attend(x, bias, position)))
        return self.norm2(x + self.dropout2(self.feed_forward(x)))

    def attend(self, x, bias, position):
        return self.self_attn(x + position, x + position, x, bias)

    def feed_forward(self, x):
        return self.linear2(self.dropout(ops.relu(self.linear1(x))))


class DecoderLayer(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.pre_norm = config.pre_norm
        self.self_attn = MultiheadAttention(config)
        self.multihead_attn = MultiheadAttention(config)
        self.linear1 = nn.Linear(config.hidden_dim, config.feedforward_dim)
        self.dropout = Dropout(config.dropout)
        self.linear2 = nn.Linear(config.feedforward_dim, config.hidden_dim)
        self.norm1 = LayerNorm(config)
        self.norm2 = LayerNorm(config)
        self.norm3 = LayerNorm(config)
        self.dropout1 = Dropout(config.dropout)
        self.dropout2 = Dropout(config.dropout)
        self.dropout3 = Dropout(config.dropout)

    def execute(self, x, memory, bias, position, query_position):
        """x and query_position [Q, B, D], memory and position [S, B, D] -> [Q, B, D]."""
        if self.pre_norm:
            x = x + self.dropout1(self.attend(self.norm1(x), query_position))
            x = x + self.dropout2(
                self.cross_attend(self.norm2(x), memory, bias, position, query_position)
            )
            return x + self.dropout3(self.feed_forward(self.norm3(x)))
        x = self.norm1(x + self.dropout1(self.attend(x, query_position)))
        x = self.norm2(
            x + self.dropout2(self.cross_attend(x, memory, bias, position, query_position))
        )
        return self.norm3(x + self.dropout3(self.feed_forward(x)))

    def attend(self, x, query_position):
        return self.self_attn(x + query_position, x + query_position, x, None)

    def cross_attend(self, x, memory, bias, position, query_position):
        return self.multihead_attn(x + query_position, memory + position, memory, bias)

    def feed_forward(self, x):
        return self.linear2(self.dropout(ops.relu(self.linear1(x))))


class Encoder(nn.Module):
    """The layers, and a final norm in the pre-norm variant only."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.layers = nn.ModuleList([EncoderLayer(config) for _ in range(config.encoder_layers)])
        self.norm = LayerNorm(config) if config.pre_norm else None

    def execute(self, x, bias, position):
        for layer in self.layers:
            x = layer(x, bias, position)
        return x if self.norm is None else self.norm(x)


class Decoder(nn.Module):
    """The layers; every layer's output goes through the shared norm and is returned."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.layers = nn.ModuleList([DecoderLayer(config) for _ in range(config.decoder_layers)])
        self.norm = LayerNorm(config)

    def execute(self, x, memory, bias, position, query_position):
        """-> [decoder layers, Q, B, D]."""
        outputs = []
        for layer in self.layers:
            x = layer(x, memory, bias, position, query_position)
            outputs.append(self.norm(x))
        return ops.stack(outputs, 0)


class Transformer(nn.Module):
    def __init__(self, config: TransformerConfig, with_memory: bool = False):
        super().__init__()
        self.with_memory = with_memory
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def execute(self, features, mask, queries, position):
        """features and position [B, D, H, W], mask bool [B, H, W], queries [Q, D] -> [layers, B, Q, D].

        `with_memory`: and what the encoder made [S, B, D].
        """
        batch, dim = features.shape[0], features.shape[1]
        x = ops.permute(features.reshape(batch, dim, -1), 2, 0, 1)  # [S, B, D]
        position = ops.permute(position.reshape(batch, dim, -1), 2, 0, 1)
        bias = ops.attention_bias(mask.reshape(batch, -1), x)
        query_position = ops.expand(queries[:, None, :], queries.shape[0], batch, dim)  # [Q, B, D]
        memory = self.encoder(x, bias, position)
        decoded = self.decoder(
            ops.frozen(query_position) * 0, memory, bias, position, query_position
        )
        decoded = ops.permute(decoded, 0, 2, 1, 3)
        return (decoded, memory) if self.with_memory else decoded
