"""Workbench: the commands for files in a folder, as pages in the browser."""
