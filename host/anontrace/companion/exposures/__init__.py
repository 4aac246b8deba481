"""From what lay in a mailbox to what the wearer is told."""
