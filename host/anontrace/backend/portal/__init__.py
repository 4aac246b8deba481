"""The portal: what the health authority's staff see and do in a browser (docs/operations.md, "The portal")."""
