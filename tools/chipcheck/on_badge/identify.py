# Which board this is, and whether it has what is needed.
import sys

switch_on()
i = sys.implementation
say(version=list(i.version[:2]), machine=getattr(i, "_machine", ""), mac=bool(ble.config("mac")))
