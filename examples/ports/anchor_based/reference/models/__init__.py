"""A small RetinaNet (Lin et al. 2017) in PyTorch: the reference half of this example."""

from models.retinanet import build_model as build_model
