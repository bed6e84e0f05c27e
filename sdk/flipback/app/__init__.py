"""The composition root: configuration in, a working router or operator out."""

from flipback.app._operator import Operator, Release, RouteStatus
from flipback.app._router import Router


__all__ = ["Operator", "Release", "RouteStatus", "Router"]
