"""The places that are configured. What was kept in one of them stays readable when the next goes into another."""

from pathlib import Path

from dialerd.archive.bucket import Bucket
from dialerd.archive.folder import Folder
from dialerd.archive.place import ArchiveFailed, Place
from dialerd.config import Recordings


class Places:
    """`chosen`: where new recordings go; `incoming`: where they are put together before that."""

    def __init__(self, config: Recordings) -> None:
        folder = Folder(Path(config.folder))
        self.incoming = folder.incoming
        self.chosen: str = config.storage
        self._places: dict[str, Place] = {"folder": folder}
        if config.s3_url and config.s3_secret_key is not None:
            secret = config.s3_secret_key.get_secret_value()
            self._places["s3"] = Bucket(config.s3_url, config.s3_region, config.s3_access_key, secret)

    def get(self, name: str) -> Place:
        """A place by its name. Raises `ArchiveFailed` when its settings are gone."""
        if name not in self._places:
            raise ArchiveFailed("refused", f"[recordings] has no settings for storage {name!r} any more")
        return self._places[name]

    async def erase(self, name: str, key: str) -> None:
        """Erases from the place of this name. Raises `ArchiveFailed`."""
        await self.get(name).erase(key)

    async def close(self) -> None:
        """Lets go of every connection."""
        for place in self._places.values():
            await place.close()
