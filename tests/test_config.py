"""Settings: which layer wins, and that a wrong one is named with the place it came from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import Shell, ordinary_user, write_files

from ragkit.config import Config, load_config, settings
from ragkit.errors import ConfigError

HERE, USER = "ragkit.toml", "home/ragkit/ragkit.toml"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path / "home")}


def test_each_layer_wins_over_those_before_it(tmp_path: Path, env: dict[str, str]) -> None:
    layers: list[tuple[str, int]] = []

    def read(options: dict[str, int] | None = None) -> None:
        config, sources = load_config(options, folder=tmp_path, environ=env)
        layers.append((sources.get("search.k", "default"), config.search.k))

    read()
    write_files(tmp_path, {USER: "[search]\nk = 1\n"})
    read()
    write_files(tmp_path, {HERE: "[search]\nk = 2\n"})
    read()
    env["RAGKIT_SEARCH_K"] = "3"
    read()
    read({"search.k": 4})

    assert layers == [
        ("default", 8),
        (str(tmp_path / USER), 1),
        (str(tmp_path / HERE), 2),
        ("environment RAGKIT_SEARCH_K", 3),
        ("option", 4),
    ]


def test_layers_add_up_setting_by_setting(tmp_path: Path, env: dict[str, str]) -> None:
    write_files(
        tmp_path,
        {
            USER: '[models]\nchat = "user"\nembedder = "user"\n[search]\nk = 1\n',
            HERE: '[models]\nchat = "here"\n',
        },
    )

    config, sources = load_config(folder=tmp_path, environ=env)

    assert (config.models.chat, config.models.embedder, config.search.k) == ("here", "user", 1)
    assert sources["models.chat"] == str(tmp_path / HERE)
    assert sources["models.embedder"] == str(tmp_path / USER)


def test_ollama_host_yields_to_our_own_variable(tmp_path: Path, env: dict[str, str]) -> None:
    env["OLLAMA_HOST"] = "one:1"
    assert load_config(folder=tmp_path, environ=env)[0].models.ollama_host == "one:1"
    env["RAGKIT_MODELS_OLLAMA_HOST"] = "two:2"
    assert load_config(folder=tmp_path, environ=env)[0].models.ollama_host == "two:2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[search]\nkk = 1\n", "there is no setting 'search.kk'; did you mean search.k"),
        (
            "top = 1\n",
            "there is no setting 'top'; docs/settings.md lists all, in the sections models, load,",
        ),
        ("[serve]\nupon_which_address = 1\n", "address'; there are: serve.host, serve.port, "),
        (
            '[search]\nmode = "best"\n',
            "search.mode = 'best': expected one of dense, keyword, hybrid",
        ),
        ('[search]\nk = "many"\n', "search.k = 'many': expected a whole number"),
        ("[search]\nk = 2.5\n", "search.k = 2.5: expected a whole number"),
        ("[search]\nk = true\n", "search.k = True: expected a whole number"),
        ("[models]\nretries = []\n", r"models.retries = \[\]: expected a whole number"),
        ('[answer]\nstrict = "maybe"\n', "answer.strict = 'maybe': expected true or false"),
        ("search = 3\n", r"'search'; it is a section: write \[search\] on a line, and k = "),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(
    tmp_path: Path, env: dict[str, str], text: str, said: str
) -> None:
    write_files(tmp_path, {HERE: text})

    with pytest.raises(ConfigError, match=f"ragkit.toml: .*{said}"):
        load_config(folder=tmp_path, environ=env)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"[search]\nk = 1 # \xff\n", "line 2: this is not UTF-8: save the file as UTF-8"),
        ("[search]\n".encode("utf-16"), "line 1: this is not UTF-8"),
        (b"[search]\n\n[models]\nchat = llama3.2\n", "line 4: Invalid value. Mend that line"),
        (b"[search\n", "line 1: Expected ']' at the end of a table declaration. Mend that line"),
        (b'[models]\nchat = "a\n', "line 2: Illegal character '\\n'. Mend that line"),
        (b'[models]\nchat = """a\n\n', "line 2: Unterminated string. Mend that line"),
    ],
)
def test_a_file_that_cannot_be_parsed_is_named_with_its_line_and_stays(
    tmp_path: Path, env: dict[str, str], content: bytes, line: str
) -> None:
    write_files(tmp_path, {HERE: content})

    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path / HERE}, {line}")):
        load_config(folder=tmp_path, environ=env)
    assert (tmp_path / HERE).read_bytes() == content


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path, env: dict[str, str]) -> None:
    write_files(tmp_path, {HERE: b"\xef\xbb\xbf[search]\nk = 3\n"})

    assert load_config(folder=tmp_path, environ=env)[0].search.k == 3


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.before = ordinary_user()
    write_files(tmp_path, {HERE: "[search]\nk = 3\n"}).joinpath(HERE).chmod(0)

    said = shell("config", code=2).err

    assert said == f"ragkit: {tmp_path / HERE} cannot be read: Permission denied\n"


@pytest.mark.parametrize("word", ["1", "true", "YES", "on"])
def test_texts_of_the_environment_become_the_settings_types(
    tmp_path: Path, env: dict[str, str], word: str
) -> None:
    env |= {
        "RAGKIT_ANSWER_STRICT": word,
        "RAGKIT_LOAD_INCLUDE": "*.md, *.txt",
        "RAGKIT_INDEXES": "~/somewhere",
        "RAGKIT_MODELS_CONNECT_TIMEOUT_S": "2",
    }

    config, _ = load_config(folder=tmp_path, environ=env)

    assert config.answer.strict is True
    assert config.load.include == ("*.md", "*.txt")
    assert config.indexes == Path.home() / "somewhere"
    assert config.models.connect_timeout_s == 2.0


def test_every_setting_survives_being_written_as_text() -> None:
    for setting in settings(Config()):
        value = setting.value
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        again = Config().with_values({setting.name: text})
        assert again == Config(), setting.name


def test_a_changed_copy_leaves_the_original() -> None:
    one = Config()
    two = one.with_values({"search.k": 3, "indexes": "elsewhere"})

    assert (one.search.k, one.indexes) == (8, Path("auto"))
    assert (two.search.k, two.indexes) == (3, Path("elsewhere"))
    assert two.models is one.models


def test_config_command_prints_each_value_and_where_it_came_from(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {HERE: "[search]\nk = 2\n", ".config/ragkit/ragkit.toml": '[models]\nchat = "x"\n'},
    )
    shell = Shell(tmp_path, "127.0.0.1:9", RAGKIT_SEARCH_MODE="dense")

    shown = shell("config", "--json", "--set", "search.depth=7").json
    text = shell("config").out

    assert set(shown) == {setting.name for setting in settings(Config())}
    assert shown["search.k"] == {"value": 2, "source": str(tmp_path / "ragkit.toml")}
    assert shown["models.chat"]["source"] == str(tmp_path / ".config/ragkit/ragkit.toml")
    assert shown["models.ollama_host"]["source"] == "environment OLLAMA_HOST"
    assert shown["search.mode"] == {"value": "dense", "source": "environment RAGKIT_SEARCH_MODE"}
    assert shown["search.depth"] == {"value": 7, "source": "option"}
    assert shown["search.keyword_weight"] == {"value": 0.6, "source": "default"}
    rows = [line.split() for line in text.splitlines()]
    assert ["search.mode", "dense", "environment", "RAGKIT_SEARCH_MODE"] in rows
    assert [row[0] for row in rows if row][:5] == [
        "indexes", "models.embedder", "models.chat", "models.ollama_host", "answer.num_ctx"
    ]  # fmt: skip
    assert {row[0] for row in rows if row} > set(shown)
    assert str(tmp_path / ".config/ragkit/ragkit.toml") in text  # where a file may be put


def test_a_wrong_setting_ends_in_code_2_without_a_traceback(tmp_path: Path) -> None:
    shell = Shell(tmp_path)

    option = shell("config", "--set", "search.k", code=2)
    variable = shell("config", code=2, RAGKIT_SEARCH_K="x")

    assert option.err == "ragkit: --set 'search.k': expected NAME=VALUE\n"
    assert variable.err.startswith("ragkit: environment RAGKIT_SEARCH_K: search.k = 'x': expected")
    assert option.out == variable.out == ""


def test_a_wrong_option_is_named_as_that(tmp_path: Path, env: dict[str, str]) -> None:
    with pytest.raises(
        ConfigError, match=r"option: there is no setting 'search\.kk'; did you mean search\.k\b"
    ):
        load_config({"search.kk": 1}, folder=tmp_path, environ=env)


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("search.k", 0, "at least 1"),
        ("split.chunk_tokens", -4, "at least 16"),
        ("models.embed_concurrency", 0, "at least 1"),
        ("models.read_timeout_s", float("nan"), "at least 0.1"),
        ("answer.temperature", "-0.5", "at least 0"),
        ("answer.min_evidence", 1.5, "at most 1"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_bound(
    name: str, value: object, bound: str
) -> None:
    with pytest.raises(ConfigError, match=rf"here: {name} = .*: must be {bound}$"):
        Config().with_values({name: value}, "here")


def test_every_default_is_within_its_own_range() -> None:
    assert Config().with_values({s.name: s.value for s in settings(Config())}) == Config()


SENDING = """
[models]
ollama_host = "http://elsewhere:1"
openai_url = "http://elsewhere:2/v1"
allow_remote = true
chat = "gguf:/tmp/model.gguf"
embedder = "./model.gguf"
embed_batch = 7
"""
NEED_TRUST = {
    "models.ollama_host": "http://elsewhere:1",
    "models.openai_url": "http://elsewhere:2/v1",
    "models.allow_remote": True,
    "models.chat": "gguf:/tmp/model.gguf",
    "models.embedder": "./model.gguf",
}


def test_a_folders_file_says_where_text_goes_only_after_it_was_trusted(
    tmp_path: Path, env: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    write_files(tmp_path, {HERE: SENDING})
    shell = Shell(tmp_path, **env)
    del shell.env["OLLAMA_HOST"]

    def taken() -> dict[str, object]:
        config, _ = load_config(folder=tmp_path, environ=env)
        assert config.models.embed_batch == 7  # what harms nobody is taken in any case
        defaults = {s.name: s.value for s in settings(Config())}
        now = {s.name: s.value for s in settings(config)}
        return {name: now[name] for name in NEED_TRUST if now[name] != defaults[name]}

    assert taken() == {}
    (said,) = [record.getMessage() for record in caplog.records]
    assert all(name in said for name in NEED_TRUST)
    assert f"`ragkit trust {tmp_path}`" in said

    assert "http://elsewhere:1" in shell("trust").out
    assert taken() == NEED_TRUST

    with (tmp_path / HERE).open("a") as file:
        file.write("retries = 1\n")
    assert taken() == {}  # a changed file asks again

    shell("trust", tmp_path)
    assert taken() == NEED_TRUST
    shell("trust", "--undo")
    assert taken() == {}


def test_models_by_name_need_no_trust(tmp_path: Path, env: dict[str, str]) -> None:
    write_files(tmp_path, {HERE: '[models]\nchat = "hf.co/a/b:q4"\nembedder = "bge-m3"\n'})
    config, _ = load_config(folder=tmp_path, environ=env)
    assert (config.models.chat, config.models.embedder) == ("hf.co/a/b:q4", "bge-m3")


def test_the_users_own_file_needs_no_trust(tmp_path: Path, env: dict[str, str]) -> None:
    write_files(tmp_path, {USER: SENDING})
    assert load_config(folder=tmp_path, environ=env)[0].models.ollama_host == "http://elsewhere:1"


def test_trust_says_what_it_cannot_do(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert "has no ragkit.toml" in shell("trust", code=2).err
    write_files(tmp_path, {HERE: "[search]\nkk = 1\n"})
    assert "there is no setting 'search.kk'" in shell("trust", code=2).err
    write_files(tmp_path, {HERE: SENDING, ".config/ragkit/trusted.json": "[]"})
    assert "trusted.json holds no table of files; delete it" in shell("config", code=2).err


def test_config_hides_passwords_and_names_variables_that_do_nothing(tmp_path: Path) -> None:
    shell = Shell(tmp_path, "http://me:secret@host:1", RAGKIT_MODEL_CHAT="x")
    for shown in (shell("config"), shell("config", "--json")):
        assert "secret" not in shown.out
        assert "***@host:1" in shown.out
    assert "there is no setting for RAGKIT_MODEL_CHAT" in shell("config").err
