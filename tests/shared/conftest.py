"""Hypothesis without deadlines: on a busy machine a pause of the process is not a slow parser."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
