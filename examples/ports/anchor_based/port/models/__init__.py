"""A small RetinaNet (Lin et al. 2017) in Jittor: the port of this example."""

from models.retinanet import build_model as build_model
