from .resnet import build_model
from .training import Trainer

__all__ = ["Trainer", "build_model"]
