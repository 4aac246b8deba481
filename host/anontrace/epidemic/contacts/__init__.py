"""Recorded contact lists: reading and checking them. What an epidemic spreads over, and what the tools play."""
