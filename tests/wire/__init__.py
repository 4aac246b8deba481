"""Bodies of the services and signed documents: vectors from a second implementation, behaviour, arbitrary bytes."""
