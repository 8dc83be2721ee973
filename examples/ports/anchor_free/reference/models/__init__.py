"""A small FCOS (Tian et al. 2019) in PyTorch: the reference half of this example."""

from models.fcos import build_model as build_model
