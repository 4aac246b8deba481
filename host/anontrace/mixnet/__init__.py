"""The small-message mix packet format (docs/protocol.md sections 6 and 7).

Pure: bytes in, bytes out. No sockets, no clock, no store.
"""
