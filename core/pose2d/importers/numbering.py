"""Assignment of numbered poses to the images of a take's videos, which count from 0."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from core.errors import CoreError

_STRIDE_SHARE = 0.9  # share of equal steps from which every n-th image is said


def first_numbers(
    numbers: Mapping[str, Collection[int]], n_images: Mapping[str, int], first_image: int | None
) -> tuple[dict[str, int], list[str]]:
    """Find the number of the first image of each camera's video in its poses.

    Args:
        numbers: Numbers in the poses, by camera; not all of them empty.
        n_images: Number of images of the videos.
        first_image: Number that the user states, or None to derive it: the numbers themselves tell whether they count
            from 1, or are those of a longer video from which this one was cut.

    Returns:
        The number of the first image by camera, and notes on those that are not 0.

    Raises:
        CoreError: No number is in the take.
    """
    known = {camera: sorted(found) for camera, found in numbers.items() if found}
    if first_image is not None:
        first = dict.fromkeys(numbers, first_image)
        notes: list[str] = []
    else:
        first, notes = _derived(numbers, known, n_images)
    for camera, found in known.items():
        if not any(0 <= n - first[camera] < n_images[camera] for n in found):
            raise CoreError(
                f"{camera} has poses of images {found[0]} to {found[-1]}, none in the take, whose video has "
                f"{n_images[camera]} images.",
                "Choose the poses of the take's videos, or state the number of the first image with --first-image.",
            )
    return first, notes


def _derived(
    numbers: Mapping[str, Collection[int]], known: Mapping[str, Sequence[int]], n_images: Mapping[str, int]
) -> tuple[dict[str, int], list[str]]:
    none_at_zero = all(found[0] >= 1 for found in known.values())
    beyond = [camera for camera, found in known.items() if found[-1] == n_images[camera]]
    from_one = all(found[0] == 1 for found in known.values()) and (len(known) > 1 or _full(known))
    if known and none_at_zero and (beyond or from_one) and all(f[-1] <= n_images[c] for c, f in known.items()):
        reason = "there is one for each image, and none has number 0" if beyond else "none has number 0"
        return dict.fromkeys(numbers, 1), [
            f"The poses are numbered from 1: {reason}. Number 1 is taken as the first image (--first-image 0 if not)."
        ]
    first, notes = dict.fromkeys(numbers, 0), []
    for camera, found in known.items():
        if found[-1] >= n_images[camera] and found[0] > 0 and found[-1] - found[0] < n_images[camera]:
            first[camera] = found[0]
            notes.append(
                f"{camera}: the poses are numbered {found[0]} to {found[-1]}, the video has {n_images[camera]} images: "
                f"number {found[0]} is taken as the first image (--first-image)."
            )
    return first, notes


def _full(known: Mapping[str, Sequence[int]]) -> bool:
    return all(found[-1] - found[0] + 1 == len(found) for found in known.values())


def coverage_notes(
    camera: str, found: Collection[int], index: Sequence[int], n_images: int, *, sparse: bool
) -> list[str]:
    """Return notes on poses beyond the video and on frames without poses, a sentence each.

    Args:
        camera: Camera name.
        found: Numbers of the images with poses, the first one 0.
        index: Image of each frame of the take; -1 where there is none.
        n_images: Number of images of the video.
        sparse: True if the format omits images without people, so that missing ones are no evidence.
    """
    notes, ordered = [], sorted(found)
    outside = [n for n in ordered if not 0 <= n < n_images]
    if outside:
        span = str(outside[0]) if len(outside) == 1 else f"{outside[0]} to {outside[-1]}"
        notes.append(
            f"{camera}: poses of {len(outside)} images are not in the video, which has {n_images}, and are not used "
            f"({span}, counted from 0)."
        )
    wanted = [number for number in index if number >= 0]
    absent = sum(number not in found for number in wanted)
    steps = [b - a for a, b in pairwise(ordered)]
    step = max(set(steps), key=steps.count) if steps else 1
    if step > 1 and steps.count(step) >= _STRIDE_SHARE * len(steps) and not sparse:
        notes.append(f"{camera}: only every {step}th image has poses; the frames between them have no people.")
    elif absent and ordered and ordered[-1] < 0.75 * (n_images - 1) and not sparse:
        notes.append(
            f"{camera}: the poses end at image {ordered[-1]} of {n_images}: they are of a shorter video or of another "
            "frame rate."
        )
    if absent and not sparse:
        notes.append(f"{camera}: {absent} of {len(index)} frames have no file, and so no people.")
    return notes
