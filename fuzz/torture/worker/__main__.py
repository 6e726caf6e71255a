"""Starts a worker."""

from __future__ import annotations

import faulthandler
import json
import os
import sys

from . import ENV
from .worker import Worker


def main() -> int:
    faulthandler.enable()
    config = json.loads(os.environ[ENV])
    try:
        Worker(config).run()
    except BaseException as e:
        print(f"torture: python worker of seed {config['seed']}, process {os.getpid()}: {e!r}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code) if code else sys.exit(0)
