"""A network that loses, delays and reorders packets: two TUN devices, one in a namespace of its own, and threads between them.

Needs root and /dev/net/tun; no module of the kernel beyond.
"""
import fcntl
import heapq
import os
import pathlib
import random
import struct
import subprocess
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000


def possible():
    return os.geteuid() == 0 and pathlib.Path("/dev/net/tun").exists()


class Link:
    """In a with block: `here` and `there` are the addresses of its ends, `enter` the words before a command that runs over there.

    `loss`: the share of packets that never arrive; each other one takes `delay` seconds, half more or less, so that some overtake
    others. `cut`: none arrives.
    """

    here, there = "10.79.23.1", "10.79.23.2"

    def __init__(self, loss=0.0, delay=0.0, seed=1):
        self.loss, self.delay, self.cut = loss, delay, False
        self.name = f"rerankd-{os.getpid()}"
        self.enter = ["ip", "netns", "exec", self.name]
        self.random = random.Random(seed)
        self.carried = self.dropped = 0
        self.ended = threading.Event()

    def __enter__(self):
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.ends = [self._end(f"rkl{i}{os.getpid() % 10000}", address) for i, address in enumerate((self.here, self.there))]
        for device, address, where in ((self.ends[0][1], self.here, []), (self.ends[1][1], self.there, self.enter)):
            if where:
                subprocess.run(["ip", "link", "set", device, "netns", self.name], check=True)
            subprocess.run([*where, "ip", "address", "add", f"{address}/24", "dev", device], check=True)
            subprocess.run([*where, "ip", "link", "set", device, "up"], check=True)
        subprocess.run([*self.enter, "ip", "link", "set", "lo", "up"], check=True)
        for source, target in ((0, 1), (1, 0)):
            threading.Thread(target=self._carry, args=(self.ends[source][0], self.ends[target][0]), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        subprocess.run(["ip", "netns", "del", self.name], check=False)
        for descriptor, _ in self.ends:
            os.close(descriptor)

    @staticmethod
    def _end(device, _):
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
        return descriptor, device

    def _carry(self, source, target):
        waiting, number = [], 0
        while not self.ended.wait(0.0005 if waiting else 0.002):
            try:
                while packet := os.read(source, 65536):
                    if self.cut or self.random.random() < self.loss:
                        self.dropped += 1
                        continue
                    number += 1
                    heapq.heappush(waiting, (time.monotonic() + self.delay * self.random.uniform(0.5, 1.5), number, packet))
            except BlockingIOError:
                pass
            except OSError:
                return
            while waiting and waiting[0][0] <= time.monotonic():
                try:
                    os.write(target, heapq.heappop(waiting)[2])
                    self.carried += 1
                except OSError:
                    pass
