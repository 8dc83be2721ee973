from .loss import SmoothedLoss
from .transformer import build_model

__all__ = ["SmoothedLoss", "build_model"]
