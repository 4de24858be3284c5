"""The live dashboard: a page in the browser, served by a process of its own."""

from physio.view.dashboard.sink import Dashboard

__all__ = ["Dashboard"]
