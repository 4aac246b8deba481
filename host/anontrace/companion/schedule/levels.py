"""The levels of traffic that `anontrace run` keeps to: those of `anontrace.wire.levels`, with which servers are planned
too."""

from anontrace.wire.levels import HIGH, LEVELS, LOW, MAX_BATCH, NORMAL, Level

__all__ = ["HIGH", "LEVELS", "LOW", "MAX_BATCH", "NORMAL", "Level"]
