from .categories import Categories, labels_of
from .transforms import batches

__all__ = ["Categories", "batches", "labels_of"]
