"""The front door: sockets, frames, sessions, access and limits. aiohttp is named on this floor only."""
