"""Tests of the settings: valid values survive a damaged file, which is backed up and reported once."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.settings import Settings, SettingsStore


def test_round_trip(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "settings.yaml"
    store = SettingsStore(file)
    store.update(theme="light", last_folder="/videos")
    store.remember_session(Path("/a"))
    store.remember_session(Path("/b"))
    store.remember_session(Path("/a"))
    again = SettingsStore(file)
    assert store.is_new and not again.is_new
    assert again.value == Settings(theme="light", last_folder="/videos", recent=("/a", "/b"))
    assert not again.complaint


@pytest.mark.parametrize("text", ["theme: [", "- a list", "\x00\x01", "42"])
def test_unreadable_file_gives_defaults_and_keeps_a_copy(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    store = SettingsStore(file)
    assert store.value == Settings()
    assert "settings.bad.yaml" in store.complaint
    assert (tmp_path / "settings.bad.yaml").read_text(encoding="utf-8") == text
    store.update(theme="light")
    assert not SettingsStore(file).complaint  # reported once: the file is valid again


def test_an_invalid_value_loses_only_itself(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("theme: purple\nlast_folder: /kept\nfrom_the_future: 1\n", encoding="utf-8")
    store = SettingsStore(file)
    assert store.value == Settings(last_folder="/kept")
    assert store.complaint


def test_a_write_error_is_not_fatal(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    store = SettingsStore(blocked / "settings.yaml")
    store.update(theme="light")
    assert store.value.theme == "light"


def test_recent_sessions_are_limited(tmp_path: Path) -> None:
    store = SettingsStore()
    for number in range(20):
        store.remember_session(Path(f"/{number}"))
    assert store.value.recent[0] == "/19"
    assert len(store.value.recent) == 8
