"""The settings, section by section: frozen values with their defaults, bounds and help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from ragkit.errors import ConfigError
from ragkit.records import Mode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


def setting(
    default: Any,  # noqa: ANN401 -- dataclasses.field is typed so
    help_text: str,
    *,
    least: float | None = None,
    most: float | None = None,
) -> Any:  # noqa: ANN401 -- as above
    """Declare a setting: a dataclass field with its help and the bounds of its value."""
    return field(default=default, metadata={"help": help_text, "range": (least, most)})


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as `ragkit config` and the documentation show it."""

    name: str
    type: Any
    value: Any
    help: str
    env: str
    range: tuple[float | None, float | None] = (None, None)

    def accept(self, value: Any, source: str) -> Any:  # noqa: ANN401 -- of any setting
        """Give a value as the setting's type, text converted.

        Args:
            value: As it was set.
            source: Where it comes from, for error messages.

        Raises:
            ConfigError: It is not of the setting's type, or out of its range.
        """
        accepted = _convert(value, self.type, f"{source}: {self.name}")
        least, most = self.range
        if least is not None and most is None:
            most = _LARGEST
        if least is not None and not accepted >= least:  # NaN is no number to set either
            msg = f"{source}: {self.name} = {accepted}: must be at least {least}"
            raise ConfigError(msg)
        if most is not None and accepted > most:
            msg = f"{source}: {self.name} = {accepted}: must be at most {most}"
            raise ConfigError(msg)
        return accepted


_LARGEST = 1_000_000_000
"""What no count, size or time has to be above: beyond it clocks and memory limits overflow."""

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _convert(value: Any, kind: Any, where: str) -> Any:  # noqa: ANN401, C901 -- one line a type
    msg = f"{where} = {value!r}: expected {_type_name(kind)}"
    try:
        if get_origin(kind) is Literal:
            if value in get_args(kind):
                return value
        elif get_origin(kind) is tuple:
            items = value.split(",") if isinstance(value, str) else value
            return tuple(str(item).strip() for item in items if str(item).strip())
        elif kind is bool:
            word = str(value).strip().lower()
            if word in _TRUE + _FALSE:
                return word in _TRUE
        elif kind is Path:
            return Path(value).expanduser()
        elif kind is int and not isinstance(value, (bool, float)):
            return int(value)
        elif kind is float and not isinstance(value, bool):
            return float(value)
        elif kind is str and isinstance(value, str):
            return value
    except (TypeError, ValueError) as exc:
        raise ConfigError(msg) from exc
    raise ConfigError(msg)


def _type_name(kind: Any) -> str:  # noqa: ANN401 -- a type as typing spells it
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if get_origin(kind) is tuple:
        return "a list of texts"
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "a text")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which models, where, and how they are called."""

    backend: Literal["auto", "ollama", "openai", "embedded"] = setting(
        "auto",
        "Where a new index gets its vectors: `ollama`, `openai` (any server of that interface), "
        "`embedded` (in-process), or `auto`: Ollama if it answers, else embedded.",
    )
    ollama_host: str = setting(
        "http://127.0.0.1:11434",
        "Address of the Ollama server; `OLLAMA_HOST` sets it too. Several, separated by commas, "
        "share the embedding; the first does the rest.",
    )
    openai_url: str = setting(
        "http://127.0.0.1:8080/v1",
        "Address of an OpenAI-compatible server; its key is taken from `OPENAI_API_KEY`.",
    )
    embedder: str = setting(
        "nomic-embed-text",
        "Embedding model on the server, or `none`: a new index is searched by words alone.",
    )
    chat: str = setting(
        "llama3.2",
        "Chat model: a name on the Ollama server, `openai:NAME`, `gguf:PATH` for a model file "
        "(extra `gguf`), or `none` for extractive answers.",
    )
    embed_endpoint: Literal["/api/embeddings", "/api/embed"] = setting(
        "/api/embeddings", "One text a request, or batches through `/api/embed`."
    )
    embed_concurrency: int = setting(
        8, "Embedding requests in flight at once, to each server.", least=1
    )
    embed_batch: int = setting(32, "Texts a request through `/api/embed`.", least=1)
    embed_num_ctx: int = setting(
        0, "Window of the embedding model, tokens; 0: the server's.", least=0
    )
    query_prefix: str = setting(
        "auto", "Text put before a question; `auto`: what the model was trained with."
    )
    document_prefix: str = setting("auto", "Text put before a passage; `auto` as above.")
    keep_alive: str = setting(
        "", "How long the server keeps a model loaded, e.g. `10m`; empty: the server's default."
    )
    connect_timeout_s: float = setting(5.0, "Seconds to wait for a connection.", least=0.1)
    read_timeout_s: float = setting(
        300.0,
        "Seconds to wait for the next byte; a cold model may take minutes to load.",
        least=0.1,
    )
    retries: int = setting(3, "Further tries after a failure that may pass.", least=0)
    allow_remote: bool = setting(False, "Allow models that run elsewhere (`:cloud`).")  # noqa: FBT003 -- a default


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """Which files are read, and how much of the machine a parser may use."""

    include: tuple[str, ...] = setting((), "Globs of files to index; empty: every known kind.")
    exclude: tuple[str, ...] = setting((), "Globs of files to leave out (gitignore syntax).")
    hidden: bool = setting(False, "Index hidden files and folders too.")  # noqa: FBT003 -- a default
    gitignore: bool = setting(True, "Honour `.gitignore` and `.ragkitignore`.")  # noqa: FBT003 -- a default
    max_file_mb: float = setting(100.0, "Files above this size in megabytes are skipped.", least=0)
    parse_timeout_s: float = setting(120.0, "Seconds a parser may take for one file.", least=0.1)
    parse_memory_mb: int = setting(2048, "Memory in MB a parser may take (Linux).", least=64)
    archives: bool = setting(False, "Read the files in ZIP and TAR archives too.")  # noqa: FBT003 -- a default
    ocr: bool = setting(
        True,  # noqa: FBT003 -- a default
        "Recognise text in pictures and in pages without text, with the extra `ocr`; "
        "about 12 seconds of the processor a page.",
    )
    libreoffice: str = setting(
        "soffice", "LibreOffice, which turns DOC and PPT into what is read; empty: none."
    )
    password_file: str = setting(
        "", "File of passwords, one a line, that are tried on encrypted PDF and office files."
    )


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How documents become chunks. Stored with an index; changing them needs a rebuild.

    The defaults were measured by the share of the evidence that stands in the first five chunks
    (chunk-evidence, 173 questions, hybrid): 0.927 in 3,856 characters, against 0.908 in 4,602 at
    240 and 40 tokens, and 0.907 in 3,879 at 200 without overlap.
    """

    chunk_tokens: int = setting(200, "Aimed size of a chunk, estimated tokens.", least=16)
    overlap_tokens: int = setting(
        30, "Most tokens of whole sentences repeated from the chunk before.", least=0
    )


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """How long an index can be looked at as it was."""

    last: int = setting(10, "How many of the last runs can be looked at again.", least=1)
    days: int = setting(
        30, "Of how many days, today's counted, the last run can be looked at too.", least=0
    )


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How chunks are found."""

    k: int = setting(8, "Hits to return.", least=1)
    mode: Mode = setting(  # noqa: RUF009 -- a text
        "hybrid", "`dense`, `keyword` or `hybrid`."
    )
    depth: int = setting(100, "Candidates that each side of a hybrid search contributes.", least=1)
    keyword_weight: float = setting(
        0.6, "Share of the words in a hybrid score, the rest is meaning.", least=0, most=1
    )
    diversity: float = setting(
        0.0,
        "How much hits are kept from saying the same, in [0, 1]; chosen from the best `depth`.",
        least=0,
        most=1,
    )
    rerank: int = setting(
        0, "How many of the best hits the chat model grades and reorders; 0: none.", least=0
    )
    neighbours: int = setting(
        0, "Chunks before and after each hit that an answer may use too.", least=0
    )


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """How answers are made."""

    num_ctx: int = setting(
        8192,
        "Window asked of the chat model, tokens; never above what the model was trained for.",
        least=256,
    )
    reserve_tokens: int = setting(768, "Part of the window kept for the answer.", least=1)
    temperature: float = setting(
        0.0, "Randomness of the chat model; 0: the likeliest words.", least=0
    )
    seed: int = setting(0, "Seed of the chat model's randomness.")
    think: bool = setting(False, "Let a reasoning model think first.")  # noqa: FBT003 -- a default
    min_evidence: float = setting(
        -1.0,
        "Evidence in [0, 1] below which no answer is given; -1: 0.4. What counts as near is "
        "calibrated on the index.",
        least=-1,
        most=1,
    )
    strict: bool = setting(False, "Withhold sentences that the passages do not support.")  # noqa: FBT003 -- a default


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Where `ragkit serve` listens, and what it lets others do."""

    host: str = setting(
        "127.0.0.1",
        "Address to serve on; beyond this machine only with a token.",
    )
    port: int = setting(11435, "Port to serve on; 0: any that is free.", least=0, most=65535)
    token_file: str = setting(
        "", "File with the token that every request must carry; `RAGKIT_TOKEN` may hold it instead."
    )
    hosts: tuple[str, ...] = setting(
        (), "Names, besides addresses and `localhost`, under which the server is reached."
    )
    origins: tuple[str, ...] = setting(
        (),
        "Pages of other servers and browser extensions that may ask, e.g. "
        "`https://wiki.example`, or `chrome-extension://*`.",
    )
    roots: tuple[str, ...] = setting(
        (), "Folders below which clients may add folders to an index, with `--allow-index`."
    )
    max_body_mb: float = setting(4.0, "Largest body of a request, megabytes.", least=0.001)
    max_upload_mb: float = setting(100.0, "Largest file that is sent, megabytes.", least=0.001)
    max_uploads: int = setting(4, "Files that may be sent at the same time.", least=1)
    max_uploads_mb: float = setting(
        10_000.0, "What all files that were sent may take together, megabytes.", least=0.001
    )
    max_messages: int = setting(500, "Most messages of a conversation.", least=1)
    max_asks: int = setting(4, "Questions that are answered at the same time.", least=1)
    open_webui_events: bool = setting(
        False,  # noqa: FBT003 -- a default
        "Tell OpenAI clients the sources as Open WebUI's own events, with the passages.",
    )
    pass_through: bool = setting(
        False,  # noqa: FBT003 -- a default
        "Show the Ollama server's models beside the indexes, and pass on what is asked of them.",
    )
    access_log: str = setting(
        "", "File to which a line of JSON is appended for each request; `-`: standard error."
    )
    log_questions: bool = setting(
        False,  # noqa: FBT003 -- a default
        "Write the questions into the access log, too.",
    )
    stop_s: float = setting(
        10.0, "Seconds that answers under way have to end when the server is stopped.", least=0
    )


@dataclass(frozen=True, slots=True)
class Config:
    """All settings.

    Usage: ``Config()``, ``Config(search={"k": 3})``, ``load_config()[0]``, or
    ``config.with_values({"search.k": 3})``, which type checkers pass too.

    Raises:
        ConfigError: A name is unknown, or a value does not fit its setting.
    """

    indexes: Path = setting(  # noqa: RUF009 -- a path does not change
        Path("auto"),
        "Folder that holds the indexes; `auto`: `indexes` in the working folder if an index lies "
        "there, else your user data folder.",
    )
    models: ModelSettings = ModelSettings()
    load: LoadSettings = LoadSettings()
    split: SplitSettings = SplitSettings()
    history: HistorySettings = HistorySettings()
    search: SearchSettings = SearchSettings()
    answer: AnswerSettings = AnswerSettings()
    serve: ServeSettings = ServeSettings()

    def __post_init__(self) -> None:
        for section in fields(self):
            name, value = section.name, getattr(self, section.name)
            if isinstance(value, section_type := type(section.default)):
                continue
            if section_type is type(Path()) and isinstance(value, (str, Path)):
                made: Any = Path(value)
            elif isinstance(value, Mapping):
                given = {f"{name}.{key}": inner for key, inner in value.items()}
                made = getattr(Config().with_values(given, f"Config({name}=...)"), name)
            else:
                msg = (
                    f"Config({name}=...) takes a {section_type.__name__}, or a dict of its "
                    f"settings, not {value!r:.60}"
                )
                raise ConfigError(msg)
            object.__setattr__(self, name, made)

    def with_values(self, values: Mapping[str, Any], source: str = "code") -> Config:
        """Return a copy with settings replaced.

        Args:
            values: Dotted names, e.g. ``{"search.k": 5}``. Text is converted to the setting's type.
            source: Where the values come from, for error messages.

        Raises:
            ConfigError: A name is unknown, or a value does not fit its setting.
        """
        known = {s.name: s for s in settings(self)}
        changed: dict[str, dict[str, Any]] = {}
        top: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                msg = f"{source}: there is no setting {name!r}; {_names_like(name, known)}"
                raise ConfigError(msg)
            section, _, key = name.rpartition(".")
            target = changed.setdefault(section, {}) if section else top
            target[key] = known[name].accept(value, source)
        parts = {s: replace(getattr(self, s), **v) for s, v in changed.items()}
        return replace(self, **top, **parts)


def settings(config: Config) -> Iterator[Setting]:
    """List every setting of a configuration by its dotted name."""
    for section in fields(config):
        part = getattr(config, section.name)
        if section.name == "indexes":
            yield Setting("indexes", Path, part, section.metadata["help"], "RAGKIT_INDEXES")
            continue
        hints = get_type_hints(type(part))
        for f in fields(part):
            name = f"{section.name}.{f.name}"
            env = "RAGKIT_" + name.replace(".", "_").upper()
            value, about = getattr(part, f.name), f.metadata
            yield Setting(name, hints[f.name], value, about["help"], env, about["range"])


def _names_like(name: str, known: Collection[str]) -> str:
    """What may have been meant. Not "see `ragkit config`": with a wrong file it fails as well.

    A name that is like none is told those of its section, or else the sections.
    """
    from difflib import get_close_matches  # only for a slip

    inside = [setting for setting in known if setting.startswith(f"{name}.")]
    if inside:
        key = inside[0].partition(".")[2]
        return f"it is a section: write [{name}] on a line, and {key} = ... below it"
    near = get_close_matches(name, known)
    if near:
        return f"did you mean {' or '.join(near)}?"
    section = name.partition(".")[0]
    if beside := [setting for setting in known if setting.startswith(f"{section}.")]:
        return f"there are: {', '.join(beside)}"
    sections = dict.fromkeys(setting.partition(".")[0] for setting in known if "." in setting)
    return f"docs/settings.md lists all, in the sections {', '.join(sections)}"
