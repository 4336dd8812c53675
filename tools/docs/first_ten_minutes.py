#!/usr/bin/env python3
"""Runs the commands of docs/first-ten-minutes.md in an empty Debian 12 and writes what came out under them.

Usage: tools/docs/first_ten_minutes.py DEB [--root DIR] [--write]      as root; DEB: rerankd_*.deb of `make packages`
--root: an empty Debian 12 (debootstrap --variant=minbase bookworm), made there when it is absent; it is copied, not changed.

Lines of the page's ```text blocks that begin with "$ " are typed into one bash; other lines of these blocks are output. The block with
"apt-get install" runs with a network, what follows without one. The middle of a long output is left out and counted.
"""
import argparse
import os
import pathlib
import re
import selectors
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs/first-ten-minutes.md"
MOST_LINES = 24  # of one output; the middle of a longer one is left out
QUIET, MOST = 0.7, 120  # seconds without output after which a command's is whole; of one command
CLEAN = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=dumb", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
BLOCK = re.compile(r"^```text\n(.*?)^```", re.M | re.S)


def commands(block):
    """The commands of a block, each of one line."""
    return re.findall(r"^\$ (.*)$", block, re.M)


class Shell:
    """A bash whose output, and that of what it started, is read as it comes."""

    def __init__(self, command):
        self.process = subprocess.Popen([*command, *CLEAN, "bash", "--norc", "--noprofile"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.send("set -m; cd /root; printf 'silent\\nshow-error\\n' > .curlrc")  # curl shows no meter on a terminal

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def run(self, command):
        """What the command printed, and what it left running. A server has begun when it says that it listens, here or in its log."""
        serves, log = command.endswith("&"), re.search(r"> (\S+) 2>&1 &$", command)
        self.send(command)
        if log:
            self.send(f"until grep -q 'listening on' {log[1]}; do sleep 0.1; done")
        if log or not serves:
            self.send("sleep 0.5; jobs > /dev/null; echo; echo @@done@@")  # jobs: those that have ended are forgotten, as at a prompt
        end, output = (b"listening on" if serves and not log else b"@@done@@"), b""
        deadline, last = time.monotonic() + MOST, time.monotonic()
        while end not in output or time.monotonic() - last < QUIET:
            if time.monotonic() > deadline:
                sys.exit(f"{command}: not done after {MOST} s\n{output.decode()}")
            if self.selector.select(0.1):
                part = self.process.stdout.read()
                if part == b"":
                    sys.exit(f"{command}: the shell has ended\n{output.decode()}")
                output += part
                last = time.monotonic()
        return output.decode().replace("\n@@done@@\n", "").rstrip()

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)


def shortened(output):
    lines = [line.rstrip() for line in output.splitlines()]
    if len(lines) <= MOST_LINES:
        return lines
    half = MOST_LINES // 3
    return [*lines[:half], f"[{len(lines) - 2 * half} lines more]", *lines[-half:]]


def answered(shell, block):
    """The block with what its commands print now."""
    parts = []
    for command in commands(block):
        print(f"$ {command}", file=sys.stderr, flush=True)
        parts.append("\n".join([f"$ {command}", *shortened(shell.run(command))]))
    return "\n\n".join(parts) + "\n"


def empty_debian(root):
    if not (root / "usr/bin/apt").exists():
        subprocess.run(["debootstrap", "--variant=minbase", "bookworm", root], check=True, stdout=subprocess.DEVNULL)


def transcript(deb, base, text):
    with tempfile.TemporaryDirectory(prefix="rerankd-ten-minutes-") as scratch:
        root = pathlib.Path(scratch) / "root"
        subprocess.run(["cp", "-a", base, root], check=True)
        shutil.copy(deb, root / "root")
        shell = Shell(["chroot", root])
        inside = ["bwrap", "--bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--unshare-all", "--die-with-parent"]

        def block(found):
            nonlocal shell
            lines = answered(shell, found[1])
            if any("apt-get install" in command for command in commands(found[1])):
                shell.close()
                shell = Shell(inside)
            return f"```text\n{lines}```"

        found = BLOCK.sub(block, text)
        shell.close()
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("deb", type=pathlib.Path)
    parser.add_argument("--root", type=pathlib.Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("debootstrap and chroot need root")
    with tempfile.TemporaryDirectory(prefix="rerankd-bookworm-") as scratch:
        base = arguments.root or pathlib.Path(scratch) / "bookworm"
        empty_debian(base)
        text = transcript(arguments.deb, base, PAGE.read_text())
    if arguments.write:
        PAGE.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
