"""The companion: provisions the badge, pulls its log, registers, polls, uploads. Never imports the backend."""
