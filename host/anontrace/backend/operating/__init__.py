"""Making, checking and running servers."""
