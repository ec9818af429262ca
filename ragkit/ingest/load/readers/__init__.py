"""One module a family of formats; each reader is ``read(data: bytes, name: str) -> Parsed``."""
