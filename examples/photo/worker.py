"""A worker of photo in Python: what worker.go is in Go, with the same bytes on its pipes.

Photo starts it with -python, with the pool as descriptor 3. The arrays that it adopts are numpy arrays, in the memory
that the parent and the workers in Go have them in.
"""

import os
import signal
import struct
import sys

if __name__ == "__main__":  # compare.py imports this file
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; the parent decides

import numpy as np

import ndpool

POOL_FD = 3
BY_HANDLE = 0
JOB = struct.Struct("<7IiI")  # how; size of the halo; two corners of the area in it; amount, number of weights
HEAD = struct.Struct("<4sI")  # of a message: what it is, and how many bytes follow
BAND = 32  # rows that are filtered at once: so few that what is computed on the way stays in the cache


def sharpen(tile, area, weights, amount):
    """Returns the sharpened pixels of an area of a tile, bit for bit what filter.go makes of it.

    The tile has rows, columns and four channels, the area is (x0, y0, x1, y1) in it, the weights are those of one side
    and the middle. Beyond its edges the tile goes on with its last pixels."""
    out = np.empty((area[3] - area[1], area[2] - area[0], 4), np.uint8)
    sharpen_into(out, tile, area, weights, amount)
    return out


def sharpen_into(out, tile, area, weights, amount):
    """Does that into an array that is there."""
    x0, y0, x1, y1 = area
    width, radius = x1 - x0, len(weights) - 1
    columns = np.clip(np.arange(x0 - radius, x1 + radius), 0, tile.shape[1] - 1)
    for y in range(y0, y1, BAND):
        rows = np.clip(np.arange(y - radius, min(y + BAND, y1) + radius), 0, tile.shape[0] - 1)
        wide = tile[rows].take(columns, 1).reshape(len(rows), -1).astype(np.uint32)
        across = mix([wide[:, 4 * k : 4 * (k + width)] for k in range(2 * radius + 1)], weights)
        count = len(rows) - 2 * radius
        blurred = mix([across[k : k + count] for k in range(2 * radius + 1)], weights)
        away(out[y - y0 : y - y0 + count], wide[radius:-radius, 4 * radius : -4 * radius], blurred, amount)


def mix(sources, weights):
    """Returns the weighted sum of its sources. The weights' sum is 4096, so that two rounds of it just fit 32 bits."""
    total = sources[len(weights) - 1] * weights[-1]
    for before, after, weight in zip(sources, reversed(sources), weights[:-1], strict=False):
        pair = before + after
        pair *= weight
        total += pair
    return total


def away(out, values, blurred, amount):
    """Moves values away from blurred ones, which are in 1/4096/4096. Alpha is always 255."""
    blurred >>= 16  # in 1/256
    values = values.view(np.int32)
    move = (values << 8) - blurred.view(np.int32)
    move *= amount
    move += 1 << 15
    move >>= 16
    move += values
    out[:] = np.clip(move, 0, 255, out=move).reshape(out.shape)
    out[..., 3] = 255


def read(count):
    """Reads exactly so many bytes. The end of the input, wherever it is, ends this process."""
    data = sys.stdin.buffer.read(count)
    if len(data) < count:
        sys.exit()
    return data


def write(data):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def by_handle(pool, parent, work):
    """Filters a view of the photograph into a new array, and returns the transfer of that, directed at the parent.

    The transfer keeps the array; both arrays of this process end when the function does."""
    head = read(HEAD.size)
    tile = pool.adopt(head + read(HEAD.unpack(head)[1]), readonly=True)  # a store into it would be an exception
    x0, y0, x1, y1 = work[0]
    result = pool.empty((y1 - y0, x1 - x0, 4), np.uint8)
    sharpen_into(result, tile, *work)
    return pool.send(result, to=parent)


def through_pipes(width, height, work):
    """Does the same with the pixels in pipes, for comparison."""
    tile = np.frombuffer(read(width * height * 4), np.uint8).reshape(height, width, 4)
    return sharpen(tile, *work)


def main():
    """Serves the parent until it closes the pipe or dies, which looks the same."""
    parent = int(os.environ["NDPOOL_PHOTO_WORKER"])
    with ndpool.Pool.open("", fd=POOL_FD) as pool:
        write(struct.pack("<Q", pool.process))
        while True:
            how, width, height, x0, y0, x1, y1, amount, count = JOB.unpack(read(JOB.size))
            weights = np.frombuffer(read(4 * count), "<u4")
            work = (x0, y0, x1, y1), weights, np.int32(amount)
            write(by_handle(pool, parent, work) if how == BY_HANDLE else through_pipes(width, height, work))


if __name__ == "__main__":
    main()
