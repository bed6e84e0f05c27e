"""The composition root: configuration in, a working router or operator out."""

from flipback.app._operator import Operator
from flipback.app._reports import Kill, Moved, Release, Restored, RouteStatus
from flipback.app._router import Router


__all__ = [
    "Kill",
    "Moved",
    "Operator",
    "Release",
    "Restored",
    "RouteStatus",
    "Router",
]
