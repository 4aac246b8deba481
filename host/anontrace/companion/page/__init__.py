"""The wearer's page: what the commands do, in a browser of this computer (docs/run.md, "In a browser")."""
