#!/usr/bin/env python3
"""Runs a command and writes down what it cost: time, CPU of everything it started, memory and number of processes.

    tests/measure.py [--name PROGRAM] [--sample SECONDS] --out FILE COMMAND...

The answer is a JSON object: `wall` and `cpu` in seconds (cpu: user and system time of the whole tree, orphans included),
`program_cpu`, `memory` and `processes` of the processes called PROGRAM alone (seconds, peak of the sum of their resident bytes, peak
number). Only with --sample are the processes looked at while they run; without it `memory` is the largest resident size of
any one process in the tree, and nothing disturbs the clock. The exit status is the command's.
"""

import argparse
import ctypes
import json
import os
import pathlib
import resource
import subprocess
import sys
import threading
import time

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")


def adopt_orphans():
    """Processes that outlive their parent come to us, so that their CPU time is counted too."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def processes_called(name):
    """Yields (pid, CPU seconds, resident bytes) of our descendants with this name."""
    parents, wanted = {}, {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            text = pathlib.Path("/proc", entry, "stat").read_text(errors="replace")
        except OSError:
            continue
        program = text[text.index("(") + 1 : text.rindex(")")]
        fields = text[text.rindex(")") + 2 :].split()
        parents[int(entry)] = int(fields[1])
        if program == name[:15]:
            cpu = (int(fields[11]) + int(fields[12])) / TICKS
            wanted[int(entry)] = (cpu, int(fields[21]) * PAGE)
    for pid, (cpu, resident) in wanted.items():
        ancestor = pid
        while ancestor in parents and ancestor != os.getpid():
            ancestor = parents[ancestor]
        if ancestor == os.getpid():
            yield pid, cpu, resident


class Sampler(threading.Thread):
    """Looks at the named processes every so often."""

    def __init__(self, name, pause):
        super().__init__(daemon=True)
        self.name_wanted, self.pause = name, pause
        self.over = threading.Event()
        self.memory = self.count = 0
        self.cpu = {}

    def run(self):
        while not self.over.wait(self.pause):
            seen = list(processes_called(self.name_wanted))
            self.memory = max(self.memory, sum(resident for _, _, resident in seen))
            self.count = max(self.count, len(seen))
            self.cpu.update({pid: cpu for pid, cpu, _ in seen})


def reap_orphans():
    """Waits for adopted children that are about to end; leaves those alone that live on after a second."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            time.sleep(0.02)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--name")
    parser.add_argument("--sample", type=float)
    parser.add_argument("--out", required=True)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    name = given.name or os.path.basename(given.command[0])
    adopt_orphans()
    sampler = Sampler(name, given.sample) if given.sample else None
    started = time.monotonic()
    child = subprocess.Popen(given.command, stdin=subprocess.DEVNULL)
    if sampler:
        sampler.start()
    status = child.wait()
    wall = time.monotonic() - started
    if sampler:
        sampler.over.set()
        sampler.join()
    reap_orphans()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = {
        "wall": round(wall, 3),
        "cpu": round(used.ru_utime + used.ru_stime, 3),
        "memory": sampler.memory if sampler else used.ru_maxrss * 1024,
        "status": status,
    }
    if sampler:
        answer["program_cpu"] = round(sum(sampler.cpu.values()), 2)
        answer["processes"] = sampler.count
    pathlib.Path(given.out).write_text(json.dumps(answer) + "\n")
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
