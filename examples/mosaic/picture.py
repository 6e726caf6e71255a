"""The picture, and the mosaic of it as numpy makes it."""

import numpy as np

BLOCK = 16  # pixels in width and height, as in main.go


def picture(pool, megapixels, tile):
    """Returns a picture in the pool: some light, some texture and some noise. It has rows, columns and 3 channels."""
    height = max(tile, int((megapixels * 1e6 * 2 / 3) ** 0.5) // BLOCK * BLOCK)
    a = pool.empty((height, height * 3 // 2 // BLOCK * BLOCK, 3), np.uint8)
    y, x = np.ogrid[-1 : 1 : a.shape[0] * 1j, -1.5 : 1.5 : a.shape[1] * 1j]
    random = np.random.default_rng(1)
    for c in range(3):
        light = 1 + np.sin(9 * x + c, dtype=np.float32) * np.cos(7 * y - c, dtype=np.float32)
        a[..., c] = 100 * light + random.integers(0, 50, a.shape[:2], np.uint8)
    return a


def mosaic(a):
    """Gives all pixels of each block their mean: what the workers do, in numpy."""
    height, width, channels = a.shape
    total = a.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, channels).sum((1, 3), dtype=np.uint32)
    mean = ((total + BLOCK * BLOCK // 2) // (BLOCK * BLOCK)).astype(np.uint8)
    return mean.repeat(BLOCK, 0).repeat(BLOCK, 1)
