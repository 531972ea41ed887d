"""Families of body models with sources and terms of use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

FREE = "free"
"""Name and family of the embedded body model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyFamily:
    """Family of body models with the same mesh, joints and kind of shape space.

    Attributes:
        name: Name in settings and files.
        title: Display name.
        terms: Sentence on the terms of use.
        site: Website of the publisher; empty for the embedded model.
        licence_site: Address of the licence text.
        reference: Publication to cite.
    """

    name: str
    title: str
    terms: str
    site: str = ""
    licence_site: str = ""
    reference: str = ""


COMMERCIAL_SITE = "https://meshcapade.com"
"""Website of the company that licenses the SMPL family for commercial use."""
_TERMS = (
    "Non-commercial research, education and art only, no redistribution of the model; commercial use needs a licence "
    "from Meshcapade."
)


def _family(name: str, title: str, site: str, reference: str) -> BodyFamily:
    return BodyFamily(
        name=name,
        title=title,
        terms=_TERMS,
        site=f"https://{site}",
        licence_site=f"https://{site}/{'license' if name == 'smplh' else 'modellicense'}.html",
        reference=reference,
    )


FAMILIES: Mapping[str, BodyFamily] = MappingProxyType(
    {
        family.name: family
        for family in (
            BodyFamily(
                name=FREE,
                title="Free body",
                terms="Free for any use, also commercial: CC0 data of MakeHuman, edits by NAVER under Apache-2.0.",
            ),
            _family("smpl", "SMPL", "smpl.is.tue.mpg.de", "Loper et al. 2015"),
            _family("smplh", "SMPL-H", "mano.is.tue.mpg.de", "Romero et al. 2017"),
            _family("smplx", "SMPL-X", "smpl-x.is.tue.mpg.de", "Pavlakos et al. 2019"),
        )
    }
)
"""Families by name."""
