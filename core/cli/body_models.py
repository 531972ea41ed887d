"""Command `body-models`: list the body models on this machine, add one from a file, or remove one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.prompt import Confirm
from rich.table import Table

from core.body.models.families import COMMERCIAL_SITE, FAMILIES
from core.body.models.registry import body_models, keep_body_model, remove_body_model
from core.body.models.smpl import read_smpl


def body_models_command(arguments: argparse.Namespace, out: Console, errors: Console) -> int:
    """Add or remove a model if requested, and list all models with the websites of further ones."""
    if arguments.remove:
        remove_body_model(arguments.remove)
    if arguments.add is not None and not _add(arguments, out):
        out.print("Nothing was added.", highlight=False)
        return 1
    table = Table("Name", "Model", "Terms")
    for card in body_models():
        table.add_row(card.name, card.title, card.problem or card.about.terms)
    out.print(table, highlight=False, markup=False)
    for family in FAMILIES.values():
        if family.site:
            out.print(f"{family.title}: {family.site}", highlight=False, markup=False, soft_wrap=True)
    out.print(f"Licences for commercial use: {COMMERCIAL_SITE}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _add(arguments: argparse.Namespace, out: Console) -> bool:
    """Add a model if its terms are accepted, by option or in the terminal."""
    path: Path = arguments.add.expanduser()
    model = read_smpl(path)
    family = FAMILIES[model.family]
    out.print(f"{path.name} is {family.title}, {model.gender}. {family.terms}", highlight=False, markup=False)
    out.print(f"The licence: {family.licence_site}", highlight=False, markup=False, soft_wrap=True)
    accepted = arguments.accept_licence
    if not accepted and sys.stdin.isatty() and out.is_terminal:
        accepted = Confirm.ask("Have you read the licence, and do you accept it?", console=out, default=False)
        if not accepted:
            return False
    keep_body_model(model, path, arguments.name, accepted=accepted)
    return True
