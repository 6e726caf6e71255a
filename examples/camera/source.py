"""Where the frames of writer.py come from: a camera, a video file, or a video that is made here. Wants OpenCV."""

import contextlib
import glob
import os
import tempfile
import time

import cv2
import numpy as np

WIDTH, HEIGHT, FPS, SECONDS = 640, 480, 30, 4  # of the video that is made here
CELL = 20  # pixels of a cell of the number in it
BITS = 16


class Source:
    """A camera or a video, as OpenCV reads it. A video plays at its rate, again and again."""

    def __init__(self, capture, name, fps=None):
        self.capture, self.name, self.fps = capture, name, fps  # no rate: the camera has its own
        size = capture.get(cv2.CAP_PROP_FRAME_HEIGHT), capture.get(cv2.CAP_PROP_FRAME_WIDTH)
        self.shape = (int(size[0]) or HEIGHT, int(size[1]) or WIDTH, 3)
        self.seconds = 0.0  # time in the video of the last frame
        self.due = time.monotonic()

    def read(self, out):
        """Reads the next frame into an array, waiting until it is due. Returns that array, or another one if the frame has
        another size; None if there are no more."""
        if self.fps:
            self.due = max(self.due, time.monotonic() - 1) + 1 / self.fps
            time.sleep(max(0, self.due - time.monotonic()))
        ok, frame = self.capture.read(out)
        if not ok and self.fps:
            self.capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            ok, frame = self.capture.read(out)
        self.seconds = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return frame if ok else None


@contextlib.contextmanager
def open_source(device, video, generate, fps):
    """Gives the camera of that number, or the video, or the first camera that there is, or a video that is made here."""
    with contextlib.ExitStack() as stack:
        if not generate and video is None and (device is not None or glob.glob("/dev/video*")):
            source = open_camera(device or 0)
        elif video is not None:
            source = open_video(video, os.path.basename(video), fps)
        else:
            path = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "generated.avi")
            print("no camera: playing a video that is made for it", flush=True)
            make_video(path)
            source = open_video(path, "generated", fps)
        stack.callback(source.capture.release)
        yield source


def open_camera(number):
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise OSError(f"camera {number} cannot be opened")
    return Source(capture, f"camera {number}")


def open_video(path, name, fps):
    capture = cv2.VideoCapture(path)
    if not capture.isOpened():
        raise OSError(f"{path} cannot be opened as a video")
    return Source(capture, name, fps or capture.get(cv2.CAP_PROP_FPS) or FPS)


def make_video(path):
    """Makes a video of some seconds: a ball on a surface that moves, and the number of each frame, twice."""
    video = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), FPS, (WIDTH, HEIGHT))
    if not video.isOpened():
        raise OSError("this OpenCV cannot write a video of Motion JPEG")
    for n in range(SECONDS * FPS):
        video.write(picture(n))
    video.release()


def picture(n):
    """Returns frame n."""
    turn = 2 * np.pi * n / (SECONDS * FPS)
    columns, rows = 60 * np.sin(np.arange(WIDTH) / 40 + turn), 60 * np.cos(np.arange(HEIGHT) / 30 - turn)
    frame = cv2.cvtColor((127 + columns + rows[:, None]).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    place = int(WIDTH / 2 + WIDTH / 3 * np.cos(turn)), int(HEIGHT / 2 + HEIGHT / 4 * np.sin(2 * turn))
    cv2.circle(frame, place, 40, (40, 40, 230), -1)
    write_number(frame[:CELL], n)
    write_number(frame[-CELL:], n)
    return frame


def write_number(rows, n):
    """Writes a number into some rows, a cell for each bit: black or white, so that JPEG keeps it."""
    for bit in range(BITS):
        rows[:, bit * CELL : (bit + 1) * CELL] = 255 * (n >> bit & 1)


def read_numbers(frame):
    """Returns the numbers at the top and at the bottom. They are equal, unless the frame is a mixture of two."""
    middles = slice(CELL // 2, BITS * CELL, CELL)
    ends = frame[CELL // 2, middles, 0], frame[-CELL // 2, middles, 0]
    return tuple(sum(1 << bit for bit in range(BITS) if row[bit] > 127) for row in ends)
