"""The wearer's operating system: services, desktop notes, signals."""
