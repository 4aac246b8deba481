# Both heaps: after a start, with Bluetooth on, while MicroPython's grows, and after what it grew by is free again.
gc.collect()
heap, before = [gc.mem_free(), gc.mem_alloc()], idf()
switch_on()
bluetooth_on = idf()
blocks = []
try:
    while len(blocks) < GROW_BLOCKS and idf()[1] > KEEP:  # NimBLE has to live meanwhile
        blocks.append(bytearray(4096))
except MemoryError:
    pass
grown = [4096 * len(blocks), idf()]
blocks = None
gc.collect()
say(heap=heap, idf=before, bluetooth=bluetooth_on, grown=grown, freed=idf())
