"""Search spaces: unit cube <-> genome, and the TOML that declares them."""

from evogan.space.space import Move, Space, load_space

__all__ = ["Move", "Space", "load_space"]
