"""The firmware of a badge that has learned its clock's rate: board.json has it, in tenths of ppm."""

import gc

gc.threshold(16384)

from badge import app, board, store  # noqa: E402

begin = store.Store.__init__


def start(self):
    begin(self)
    self.rate = board.load()["rate"]


store.Store.__init__ = start
app.main()
