"""Anontrace on the desktop and on servers: the mix packet format, the companion, the backend."""
