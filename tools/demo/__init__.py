"""The demonstration: the whole chain with real parts, from a story or from a recorded contact list."""
