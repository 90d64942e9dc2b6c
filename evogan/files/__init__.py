"""What is read from outside, within limits, and written whole or not at all."""

from evogan.files.paths import (
    STORE,
    cache_folder,
    check_file,
    check_folder,
    expand,
    file_name,
    half_of,
    read_small,
    write_whole,
    written_whole,
)

__all__ = [
    "STORE",
    "cache_folder",
    "check_file",
    "check_folder",
    "expand",
    "file_name",
    "half_of",
    "read_small",
    "write_whole",
    "written_whole",
]
