"""Image folders on remote file systems: listed once, each image read when it is needed."""

from __future__ import annotations

import functools

from scarlet_tf.data.folder import IMAGES, ImageFolder
from scarlet_tf.remote import RemotePath


class RemoteImageFolder(ImageFolder):
    """The images of a remote folder by split and class, as `ImageFolder` finds those of a local one.

    A folder without files does not exist in an object store, so that there are no classes without any file.
    """

    root: RemotePath

    def state(self, path: str) -> tuple[int | None, None]:
        """Return a file's size in bytes; the time of its last change is unknown."""
        return self._sizes.get(path.removeprefix(f"{self.root}/")), None

    @functools.cached_property
    def _sizes(self) -> dict[str, int]:
        return self.root.find() if self.root.is_dir() else {}

    def _is_split(self, name: str) -> bool:
        return any(path.startswith(f"{name}/") for path in self._sizes)

    @functools.cache  # noqa: B019 - lives as long as the dataset
    def _found(self, split: str) -> tuple[dict[str, list[str]], list[str]]:
        classes: dict[str, list[str]] = {}
        strays = []
        for path in sorted(self._sizes):
            top, *parts = path.split("/")
            if top != split or any(part.startswith(".") for part in parts):
                continue
            is_image = path.lower().endswith(IMAGES)
            if len(parts) > 1:
                classes.setdefault(parts[0], []).extend([f"{self.root}/{path}"] if is_image else [])
            elif is_image:
                strays.append(parts[0])
        return classes, strays
