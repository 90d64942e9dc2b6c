"""Search spaces: unit cube <-> genome, and the TOML that declares them."""

from evogan.space.alter import Change, altered
from evogan.space.space import Move, Repairs, Space, load_space

__all__ = ["Change", "Move", "Repairs", "Space", "altered", "load_space"]
