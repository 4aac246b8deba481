"""What only a real chip can tell, measured on two boards: `make chipcheck PORT=... PORT2=...` (docs/design.md)."""
