"""Normal-form games: every agent picks one of its choices, and a table says what each is paid."""

from env_server.environments.matrix.config import MatrixConfig
from env_server.environments.matrix.env import Matrix

__all__ = ["Matrix", "MatrixConfig"]
