"""Position encodings of the feature map, sine or learned.

Follows facebookresearch/detr models/position_encoding.py; the sines are computed in float32 there
whatever the model's dtype, here that is `PositionConfig.dtype`.

B batch, H and W of the feature map, D hidden dimension.
"""

from __future__ import annotations

from jittor_impl import ops
from jittor_impl.runtime import nn
from neutral.config import PositionConfig


class PositionEmbeddingSine(nn.Module):
    """Sines and cosines of the row and column, counted over the pixels that are not padding."""

    def __init__(self, config: PositionConfig, hidden_dim: int):
        super().__init__()
        self.config = config
        self.features = hidden_dim // 2  # per axis

    def execute(self, x, mask):
        """x [B, C, H, W] for its dtype, mask bool [B, H, W] -> [B, D, H, W]."""
        valid = ops.cast(ops.logical_not(mask), x)
        if self.config.dtype == "float32":
            valid = ops.as_float32(valid)
        y = self.encode(ops.cumsum(valid, 1), 1)
        x_axis = self.encode(ops.cumsum(valid, 2), 2)
        return ops.frozen(ops.cast(ops.permute(ops.cat([y, x_axis], 3), 0, 3, 1, 2), x))

    def encode(self, position, axis: int):
        """[B, H, W] counts along `axis` -> [B, H, W, D/2], sine and cosine alternating."""
        last = position[:, -1:, :] if axis == 1 else position[:, :, -1:]
        eps, scale = ops.scalar(self.config.eps, position), ops.scalar(self.config.scale, position)
        position = position / (last + eps) * scale
        index = ops.arange(self.features // 2, position)
        exponent = 2 * index / self.features
        period = ops.power(self.config.temperature, exponent)  # [D/4]
        angle = position[:, :, :, None] / period  # [B, H, W, D/4]
        pairs = ops.stack([angle.sin(), angle.cos()], 4)
        return pairs.reshape(pairs.shape[0], pairs.shape[1], pairs.shape[2], self.features)


class PositionEmbeddingLearned(nn.Module):
    """A learned vector for each row and each column, up to `learned_rows` of them."""

    def __init__(self, config: PositionConfig, hidden_dim: int):
        super().__init__()
        self.row_embed = nn.Embedding(config.learned_rows, hidden_dim // 2)
        self.col_embed = nn.Embedding(config.learned_rows, hidden_dim // 2)

    def execute(self, x, mask):
        """x [B, C, H, W], mask unused -> [B, D, H, W]; ValueError on a map with too many rows."""
        batch, height, width = x.shape[0], x.shape[2], x.shape[3]
        rows = self.row_embed.weight.shape[0]
        if max(height, width) > rows:
            raise ValueError(
                f"feature map {height}x{width} exceeds the {rows} learned rows and columns"
            )
        columns = self.col_embed.weight[:width].reshape(1, width, -1)
        lines = self.row_embed.weight[:height].reshape(height, 1, -1)
        half = columns.shape[2]
        both = [ops.expand(columns, height, width, half), ops.expand(lines, height, width, half)]
        position = ops.permute(ops.cat(both, 2), 2, 0, 1)[None]
        return ops.expand(position, batch, 2 * half, height, width)


def build_position_encoding(config: PositionConfig, hidden_dim: int) -> nn.Module:
    kinds = {"sine": PositionEmbeddingSine, "learned": PositionEmbeddingLearned}
    return kinds[config.kind](config, hidden_dim)
