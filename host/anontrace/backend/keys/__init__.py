"""Secrets on a server's disk."""
