"""The health authority: one-time tokens for patients, and what its staff decide (docs/protocol.md sections 8 and 9)."""
