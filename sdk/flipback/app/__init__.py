"""The composition root: configuration in, a working router or operator out."""

from flipback.app._operator import Operator
from flipback.app._reports import Kill, Release, RouteStatus
from flipback.app._router import Router


__all__ = ["Kill", "Operator", "Release", "RouteStatus", "Router"]
