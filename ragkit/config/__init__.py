"""Settings: what may be set, where it is read, and what a folder's own file may set."""

from ragkit.config.schema import (
    AnswerSettings,
    Config,
    HistorySettings,
    LoadSettings,
    ModelSettings,
    SearchSettings,
    ServeSettings,
    Setting,
    SplitSettings,
    settings,
)
from ragkit.config.toml_files import FILE_NAME, config_home, load_config, read_settings

__all__ = [
    "FILE_NAME",
    "AnswerSettings",
    "Config",
    "HistorySettings",
    "LoadSettings",
    "ModelSettings",
    "SearchSettings",
    "ServeSettings",
    "Setting",
    "SplitSettings",
    "config_home",
    "load_config",
    "read_settings",
    "settings",
]
