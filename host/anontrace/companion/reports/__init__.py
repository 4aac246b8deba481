"""Handing a log in: what is gathered, what is left out, and how it goes."""
