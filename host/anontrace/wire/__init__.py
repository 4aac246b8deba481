"""Bodies of the services over HTTP and the signed documents (docs/protocol.md sections 8 to 10).

Used by both ends. Pure but for the network file: no sockets, no clock.
"""
