"""Discovery: collects the mixes' signed key lists and serves them (docs/protocol.md section 10)."""
