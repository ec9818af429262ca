"""The endpoints that change which models the server has. None is sent twice to a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ragkit.models.ollama.inventory import Inventory
from ragkit.models.ollama.progress import SUCCESS, Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from ragkit.models.ollama.calls import CreateCall


class Management(Inventory):
    """Fetches, publishes, makes, copies and deletes models.

    The iterators end without an error exactly when the server said ``success``. A request that
    never reached the server is tried again; one that did is not.

    Attributes:
        silence_s: How long the server may say nothing meanwhile, where the setting
            ``models.read_timeout_s`` is shorter. It verifies or quantises a layer without a word,
            which takes minutes for one of tens of gigabytes on a slow disk.
    """

    silence_s: ClassVar[float] = 3600.0

    def pull(self, name: str, *, insecure: bool = False) -> Generator[Progress, None, None]:
        """Fetch a model from its registry. ``POST /api/pull``.

        Closing the iterator stops the download unless another client waits for it too. What was
        fetched is kept for an hour at least, and a new pull goes on from there.

        Args:
            name: The model.
            insecure: Speak plain http to the registry.

        Returns:
            Progress as it comes, many times a second for each layer; see `LayerProgress`.

        Raises:
            ModelResponseError: The registry has no such model, or refuses it.
            ModelUnavailableError: The stream broke off.
            ConfigError: The model would run elsewhere, and ``models.allow_remote`` is off.
        """
        self.refuse_remote_name(name)
        return self._progress("/api/pull", _named(name, insecure=insecure), name)

    def push(self, name: str, *, insecure: bool = False) -> Generator[Progress, None, None]:
        """Publish a model to the registry in its name. ``POST /api/push``.

        Arguments, events and errors as `pull`. It needs an account whose key the *server* has.
        """
        return self._progress("/api/push", _named(name, insecure=insecure), name)

    def create(self, call: CreateCall) -> Generator[Progress, None, None]:
        """Make a model. ``POST /api/create``. Events and errors as `pull`.

        Files must have been uploaded with `upload_blob` before.
        """
        self.refuse_remote_name(call.base)
        self._known_local.clear()  # the name may have meant another model
        return self._progress("/api/create", call.body(), call.model)

    def copy(self, source: str, destination: str) -> None:
        """Give a model a second name; weights are not copied. ``POST /api/copy``."""
        self._known_local.clear()  # as for create
        body = {"source": source, "destination": destination}
        self.order("POST", "/api/copy", body, model=source)

    def delete(self, name: str) -> None:
        """Delete a model; weights go when no other name needs them. ``DELETE /api/delete``."""
        self.order("DELETE", "/api/delete", {"model": name}, model=name)

    def _progress(
        self, path: str, body: Mapping[str, Any], model: str
    ) -> Generator[Progress, None, None]:
        return self.events_until(
            ("status", SUCCESS),
            self.events(
                path,
                {**body, "stream": True},
                model=model,
                repeat=False,
                silence_s=self.silence_s,
            ),
            Progress.read,
            unfinished=self.unfinished(model, f"the {path.rpartition('/')[2]}"),
        )


def _named(name: str, *, insecure: bool) -> dict[str, Any]:
    return {"model": name} | ({"insecure": True} if insecure else {})
