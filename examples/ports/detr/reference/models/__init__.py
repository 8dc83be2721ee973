"""A small DETR (Carion et al. 2020) in PyTorch: the reference half of this example."""

from models.detr import build_model as build_model
