"""An epidemic on paper: how it goes without, and with what this system tells people (docs/epidemic.md)."""
