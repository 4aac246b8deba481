"""ESP-IDF has nothing left by which the heap could grow."""

HEAP_DATA = 4


def idf_heap_info(capabilities):
    return [(0, 0, 0, 0)]
