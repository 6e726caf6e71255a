"""Transfers and processes, in the words of Go."""

from __future__ import annotations

import base64


def transfer_text(t: bytes) -> str:
    """A transfer, or a message."""
    if len(t) == 16:
        return f"{int.from_bytes(t[:8], 'little'):016x}:{int.from_bytes(t[8:], 'little'):016x}"
    ticket = int.from_bytes(t[32:40], "little")
    text = f"ndpool1:{t[8:24].hex()}:{int.from_bytes(t[24:32], 'little'):016x}:{f'{ticket:016x}' if ticket else '-'}"
    if len(t) > 40:
        text += ":" + base64.urlsafe_b64encode(t[40:]).decode().rstrip("=")
    return text


def transfer_of(text: str) -> bytes:
    if not text.startswith("ndpool1:"):
        return b"".join(int(word, 16).to_bytes(8, "little") for word in text.split(":"))
    parts = text.split(":")
    ticket = 0 if len(parts) < 4 or parts[3] == "-" else int(parts[3], 16)
    view = base64.urlsafe_b64decode(parts[4] + "=" * (-len(parts[4]) % 4)) if len(parts) > 4 else b""
    body = bytes.fromhex(parts[1]) + int(parts[2], 16).to_bytes(8, "little") + ticket.to_bytes(8, "little") + view
    return b"nd\x01" + (b"\x02" if view else b"\x01") + len(body).to_bytes(4, "little") + body


def process_text(process: int) -> str:
    return f"{(process & 0xFFFFFFFF) - 1}.{process >> 32}"
