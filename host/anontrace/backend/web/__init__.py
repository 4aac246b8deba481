"""What all HTTP endpoints share: connections, limits, TLS."""
