"""The commands, one module per group: options, consent, output. What they do is done elsewhere."""
