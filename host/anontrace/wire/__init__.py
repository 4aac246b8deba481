"""Bodies of the services over HTTP and the signed documents (docs/protocol.md sections 8 to 10). Pure, used by both ends."""
