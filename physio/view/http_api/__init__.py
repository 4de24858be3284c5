"""HTTP, server-sent events and WebSocket for other programs: see `Http`."""

from physio.view.http_api.http_sink import Http as Http
