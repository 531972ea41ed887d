"""Extrinsic calibration from 2D poses of people.

`tracks` tracks people within each camera, `matching` finds the same person in several cameras, `registration` registers
cameras one by one, `bundle` adjusts them together, and `world` sets the world coordinates. `calibrate` is the entry
point.
"""
