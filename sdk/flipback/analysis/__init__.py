"""From evidence to an answer: what each guardrail says, and what all say together."""

from flipback.analysis._analyze import Analysis, PeakKey, analyze


__all__ = ["Analysis", "PeakKey", "analyze"]
