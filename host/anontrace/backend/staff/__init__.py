"""The health authority's staff: who they are, what each may do, and what they did (docs/operations.md)."""
