"""Tables of numbers, of any program, as recordings."""

from physio.io.tables.read_table import from_table, map_path, read

__all__ = ["from_table", "map_path", "read"]
