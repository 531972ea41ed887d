"""A process that fills a ring as fast as it can: `python ring_writer.py`; prints the name first."""

from __future__ import annotations

import sys
import time

import numpy as np

from core.capture.ring import ImageRing

ring = ImageRing(160 * 120)
sys.stdout.write(f"{ring.name}\n")
sys.stdout.flush()
image = np.empty((120, 160, 3), np.uint8)
pause_s, count = float(sys.argv[1]), int(sys.argv[2])
for number in range(count):
    image[:] = number % 251
    ring.put(image, {"value": number % 251, "padding": "x" * (number % 1000)})
    time.sleep(pause_s)
ring.close()
