"""The composition root: configuration in, a working router out."""

from flipback.app._router import Router


__all__ = ["Router"]
