"""The nymserver: swaps, uploads, reports and notifications (docs/protocol.md sections 7 to 9)."""
