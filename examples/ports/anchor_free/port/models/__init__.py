"""A small FCOS (Tian et al. 2019) in Jittor: the port of this example."""

from models.fcos import build_model as build_model
