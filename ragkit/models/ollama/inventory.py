"""The endpoints that ask: is the server there, and which models has it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ragkit.errors import ConfigError, ModelNotFoundError
from ragkit.models.http.problem import Problem
from ragkit.models.http.transport import Request
from ragkit.models.ollama import wire
from ragkit.models.ollama.connection import Connection
from ragkit.models.ollama.names import is_remote, normalise_name, same_name
from ragkit.models.ollama.replies import InstalledModel, RunningModel
from ragkit.models.ollama.shown import ShownModel

if TYPE_CHECKING:
    from ragkit.config import ModelSettings
    from ragkit.models.ollama import InstalledModel


class Inventory(Connection):
    """Asks a server about itself and its models; changes nothing."""

    def __init__(self, host: str, *, settings: ModelSettings) -> None:
        super().__init__(host, settings=settings)
        self._known_local: set[str] = set()

    def health(self) -> str:
        """What the server greets with: ``Ollama is running``. ``GET /``.

        Raises:
            ModelError: It does not answer, or with an error.
        """
        got = self.attempt("GET", "/")
        if isinstance(got, Problem):
            raise got.to_error(model="", address=self.address)
        return got.decode("utf-8", "replace").strip()

    def answers(self, path: Literal["/", "/api/version", "/api/tags"] = "/") -> bool:
        """True if the server answers ``HEAD`` of a path at once; never raises if it does not.

        ``HEAD /``, ``HEAD /api/version``, ``HEAD /api/tags``.
        """
        request = Request("HEAD", path, timeout=_PROBE_TIMEOUT_S, tries=0)
        return isinstance(self._transport.call(request), bytes)

    def is_available(self) -> bool:
        """True if an Ollama server answers at once; never raises for one that does not."""
        request = Request("GET", "/api/version", timeout=_PROBE_TIMEOUT_S, tries=0)
        got = self._transport.call(request)
        return isinstance(got, bytes) and got.startswith(b"{") and b'"version"' in got

    def version(self) -> str:
        """The server's version. ``GET /api/version``.

        Builds from source say ``0.0.0``, so nothing may depend on it.
        """
        return str(self.request("GET", "/api/version").get("version", ""))

    def tags(self) -> list[InstalledModel]:
        """The installed models, as the server orders them: newest first. ``GET /api/tags``."""
        return [
            InstalledModel.read(m) for m in wire.objects(self.request("GET", "/api/tags"), "models")
        ]

    def find_installed(self, name: str) -> InstalledModel | None:
        """The installed model that a name means, as the server compares names; None for none."""
        wanted = normalise_name(name).casefold()
        return next((model for model in self.tags() if model.name.casefold() == wanted), None)

    def ps(self) -> list[RunningModel]:
        """The models in memory, the one that stays longest first. ``GET /api/ps``."""
        return [
            RunningModel.read(m) for m in wire.objects(self.request("GET", "/api/ps"), "models")
        ]

    def show(self, name: str, *, verbose: bool = False) -> ShownModel:
        """What the server knows of a model. ``POST /api/show``.

        Args:
            name: Its name; the tag may be left out.
            verbose: Send the tokenizer's words and the list of tensors too: megabytes.
        """
        body = {"model": name} | ({"verbose": True} if verbose else {})
        shown = ShownModel.read(self.request("POST", "/api/show", body, model=name))
        if not shown.remote_host:
            self._known_local.add(name)
        return shown

    def digest(self, name: str) -> str:
        """The digest of an installed model's weights and settings, 64 hex digits.

        Raises:
            ModelNotFoundError: The model is not installed.
            ConfigError: It runs elsewhere, and ``models.allow_remote`` is off.
        """
        for model in self.tags():
            if model.name and same_name(model.name, name):
                if model.remote_host:
                    self._refuse(name)
                return model.digest
        error = Problem("missing", "").to_error(name, self.address)
        raise ModelNotFoundError(str(error), name)

    def refuse_remote_name(self, name: str) -> None:
        """Refuse a name that says that its model runs elsewhere, unless that is allowed.

        Raises:
            ConfigError: It does, and ``models.allow_remote`` is off.
        """
        if is_remote(name):
            self._refuse(name)

    def refuse_remote(self, name: str) -> None:
        """Refuse a model that runs elsewhere, by its name or by what the server says of it.

        Asks the server once for each model.

        Raises:
            ConfigError: It does, and ``models.allow_remote`` is off.
            ModelNotFoundError: It is not installed.
        """
        self.refuse_remote_name(name)
        if self.settings.allow_remote or name in self._known_local:
            return
        if self.show(name).remote_host:
            self._refuse(name)

    def _refuse(self, name: str) -> None:
        if not self.settings.allow_remote:
            msg = (
                f"model {name!r} does not run on {self.address}: what it is given leaves this "
                "machine. To allow that, set models.allow_remote = true"
            )
            raise ConfigError(msg)


_PROBE_TIMEOUT_S = (0.5, 2.0)
