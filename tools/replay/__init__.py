"""Replays a recorded contact list with everybody on it as the patient in turn, and holds what is told against the list.

The formats and the roles' own code are the shipped ones, from the sealed log to the minutes that a companion adds up.
Left out are the radio, MicroPython and HTTP: `tools.demo` has those, for as many people as a machine can bear.
"""
