"""The configuration of a training run, with error messages for people."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from dermtriage.core.errors import ConfigurationError
from dermtriage_worker.training.config import TrainConfig


def read_config(path: Path | None, members: Sequence[str] = ()) -> TrainConfig:
    """Read the configuration of a training run.

    Parameters
    ----------
    path
        TOML file; None for the project's own.
    members
        Names of members that it must contain.

    Raises
    ------
    ConfigurationError
        If the file is not TOML, not a valid configuration, or lacks a member.
    """
    config = TrainConfig.default() if path is None else _read(path)
    names = [member.name for member in config.members]
    if unknown := sorted(set(members) - set(names)):
        raise ConfigurationError(
            f"The configuration has no member {unknown[0]!r}.",
            remedy=f"It has {', '.join(names)}.",
        )
    return config


def weight_files(options: Sequence[str]) -> dict[str, Path]:
    """Return the files of ARCHITECTURE=FILE options, by architecture.

    Raises
    ------
    ConfigurationError
        If one has another form, or its file does not exist.
    """
    files = {}
    for option in options:
        architecture, equals, file = option.partition("=")
        if not equals or not Path(file).is_file():
            raise ConfigurationError(
                f"--imagenet {option} does not name a file of weights.",
                remedy="Give ARCHITECTURE=FILE, with a safetensors file.",
            )
        files[architecture] = Path(file)
    return files


def _read(path: Path) -> TrainConfig:
    try:
        return TrainConfig.read(path)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}.") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ConfigurationError(f"{path} cannot be used: {faults}.") from error
