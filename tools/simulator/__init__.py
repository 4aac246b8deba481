"""A street of badges in one machine: the shipped firmware on a virtual radio, in virtual time."""
