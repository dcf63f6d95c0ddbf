"""The configuration of a training run, with errors that a person understands."""

import tomllib
from pathlib import Path

from pydantic import ValidationError

from dermtriage.errors import ConfigurationError
from dermtriage_worker.training.config import TrainConfig


def read_config(path: Path | None) -> TrainConfig:
    """Read a configuration, or that of the first release.

    Raises
    ------
    ConfigurationError
        If the file is no TOML or not a configuration.
    """
    if path is None:
        return TrainConfig.default()
    try:
        return TrainConfig.read(path)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}.") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ConfigurationError(f"{path} cannot be used: {faults}.") from error
