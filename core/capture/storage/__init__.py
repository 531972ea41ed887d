"""Storage of images and sound: packets, bounded queues and the files of a take."""
