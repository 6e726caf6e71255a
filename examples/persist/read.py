"""Reads what transfer.py has put into shared memory. Nothing is copied, and reading removes nothing."""

import argparse
import json
import sys

import ndpool


def describe(tree, above=""):
    """Gives what is in nested dicts of arrays with attributes."""
    for key, node in tree.items():
        path = f"{above}/{key}" if above else key
        if isinstance(node, dict):
            yield from describe(node, path)
        else:
            a = node.array
            yield {
                "name": path,
                "shape": a.shape,
                "dtype": str(a.dtype),
                "mean": float(a.mean()),
                "attrs": node.attrs,
                "version": node.version,
            }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", default="ndpool-persist", help="name of the pool (ndpool-persist)")
    parser.add_argument("--name", default="example", help="of the group in it (example)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args()
    try:
        with ndpool.Pool.open(args.pool) as pool:
            rows = list(describe(pool.tree(args.name, attrs=True)))
    except (ndpool.errors.NotExistError, ndpool.errors.NoNameError):
        print(f"{parser.prog}: no {args.name} in pool {args.pool}: run transfer.py first", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print("{name}: {dtype} {shape}, mean {mean:.3f}, {attrs}, version {version}".format(**row))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
