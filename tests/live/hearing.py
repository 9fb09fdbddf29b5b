"""What the live tests of flows and messages work with: flows whose texts are spoken, and what people heard of them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dialerd.config import Flows
from dialerd.core.flow import Prompt
from dialerd.paths import shipped
from dialerd.places import prompts
from tests import speech
from tests.live.place import Place


class Words:
    """Flows in a folder, and their texts as sounds: tones, or speech of the real program."""

    def __init__(self, place: Place, folder: Path, tone_seconds: float | None = 1.0, **settings: Any) -> None:
        self.place = place
        self.flows, self.prompts = folder / "flows", folder / "prompts"
        self.flows.mkdir()
        for part in (folder, *folder.parents[:2]):
            part.chmod(0o755)  # Asterisk is another user
        for example in shipped("flows").glob("*.toml"):
            (self.flows / example.name).write_text(example.read_text(encoding="utf-8"))
        speak = {} if tone_seconds is None else {"tts_command": speech.command(folder, tone_seconds)}
        more = settings.pop("flows", {})
        sounds = {"folder": str(self.flows), "sounds": [str(folder / "elsewhere")], "prompts": str(self.prompts)}
        place.configure(
            dialing={"drain_seconds": 20.0, "reconcile_seconds": 1.0}, flows={**sounds, **speak, **more}, **settings
        )
        place.site.lab.pbx.cli(f"dialplan set global DIALERD_PROMPTS {self.prompts}")

    def add(self, **texts: str) -> None:
        """Flows, by name, and every text of every flow as a sound."""
        for name, text in texts.items():
            (self.flows / f"{name}.toml").write_text(text)
        assert self.admin("flow", "check", "--json")["problems"] == []

    def admin(self, *arguments: str) -> dict[str, Any]:
        """What `dialer-admin` answers."""
        argv = [sys.executable, "-m", "dialerd.cli.main", "--config", str(self.place.daemon.config), *arguments]
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=60, check=False, env=self.place.daemon.environ
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def message(self, campaign: int) -> str:
        """Makes the sound of a campaign's message; its text."""
        return str(self.admin("campaign", "message", str(campaign), "--json")["text"])

    def sound(self, text: str, language: str) -> Path:
        """The file of a text that the real program spoke."""
        return self.prompts / f"{prompts.name_of(Prompt(text=text, language=language), Flows().tts_command)}.wav"


@contextmanager
def heard(place: Place) -> Iterator["Ears"]:
    """What people hear from now on."""
    folder = place.site.lab.folder / "heard"
    folder.mkdir(exist_ok=True)
    place.site.lab.carrier.listen(folder)
    try:
        yield Ears(folder)
    finally:
        place.site.lab.carrier.listen(None)


class Ears:
    """Of each subscriber by number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for old in folder.iterdir():
            old.unlink()

    def file(self, e164: str) -> Path:
        """The recording of what they hear, or heard."""
        return self._folder / f"{e164[1:]}.wav"

    def seconds(self, e164: str, text: str) -> float:
        """For how long they heard the tone of a text."""
        return speech.seconds_of(text, self.file(e164))

    def like(self, e164: str, spoken: Path) -> float:
        """How like what they heard is to something spoken."""
        return speech.likeness(spoken, self.file(e164))

    def loud(self, e164: str) -> float:
        """For how many seconds they heard anything."""
        return speech.loud_seconds(self.file(e164))
