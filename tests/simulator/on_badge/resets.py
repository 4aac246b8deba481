"""Never gets as far as being idle."""

import machine

machine.reset()
