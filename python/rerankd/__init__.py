"""Rerank with cross-encoders: a client of a rerankd server, and the same in process."""
from .cross_encoder import CrossEncoder
from .errors import RerankError

__all__ = ["CrossEncoder", "RerankError"]
__version__ = "0.2.0"
