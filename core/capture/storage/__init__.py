"""Storage of what cameras send: packets, bounded queues and the files of a take."""
