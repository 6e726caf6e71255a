"""multiprocessing.Queue: as a Pipe, with a thread that feeds it, and a lock."""

from pickle_pipe import PicklePipe


class PickleQueue(PicklePipe):
    name = "pickle, Queue"
    channel = "queue"


PEER = PickleQueue
