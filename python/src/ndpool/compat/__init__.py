"""Modules that offer the interfaces of other libraries, for programs that change over."""

__all__: list[str] = []
