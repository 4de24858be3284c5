"""Web pages of this computer: access control, page server, common styles."""
