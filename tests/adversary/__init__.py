"""Observers who try to find out what they must not: a module for each, and the crowd that they all look at."""
