"""What `anontrace run` does, and when."""
