"""Claims judged side by side, in processes: one that hangs, crashes or eats memory costs only itself.

A worker is `python -m gradproof.workers`: it reads one claim for each line and writes one answer for each.
"""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradproof.symbolic.claims_file import Line
    from gradproof.symbolic.verdict import Verdict

MEMORY = 4 << 30
"""Bytes of address space that a worker may use."""
START = 60
"""Seconds that a worker may take to start."""
SHARE = 0.6
"""The part of the time that the judge is told: it may be half again as long until it notices."""
COMMAND = (sys.executable, "-m", "gradproof.workers")


@dataclass(frozen=True)
class Answer:
    """The verdict on a line, and the true derivative if it was asked for and found."""

    line: Line
    verdict: Verdict
    fix: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The verdict with the name of the claim and where it stands."""
        data = {"id": self.line.id, **self.verdict.to_dict()}
        data |= {"file": self.line.source, "line": self.line.number}
        return data | ({} if self.fix is None else {"fix": self.fix})


@dataclass(frozen=True)
class Task:
    """What is asked of a worker for each claim, and how it is started."""

    timeout: float
    fix: bool = False
    command: tuple[str, ...] = COMMAND


def judge_lines(lines: Sequence[Line], task: Task, jobs: int | None = None) -> Iterator[tuple[int, Answer]]:
    """The answers as they come, each with the number of its line; `jobs` processes, one for each core."""
    from gradproof.symbolic.judgement import unreadable

    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Answer | BaseException]] = queue.SimpleQueue()
    wanted = [n for n, line in enumerate(lines) if line.claim is not None]
    for n in wanted:
        waiting.put(n)
    for n, line in enumerate(lines):
        if line.problem is not None:
            yield n, Answer(line, unreadable(line.problem))
    count = max(1, min(jobs or os.cpu_count() or 1, len(wanted)))
    stop = threading.Event()
    threads = [threading.Thread(target=_serve, args=(lines, task, waiting, done, stop)) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        for _ in wanted:
            n, answer = done.get()
            if isinstance(answer, BaseException):
                raise answer
            yield n, answer
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _serve(
    lines: Sequence[Line],
    task: Task,
    waiting: queue.SimpleQueue[int],
    done: queue.SimpleQueue[tuple[int, Answer | BaseException]],
    stop: threading.Event,
) -> None:
    """Give claims to one worker, and to the next one where it ended."""
    worker = _Worker(stop)
    n = -1
    try:
        while not stop.is_set():
            try:
                n = waiting.get_nowait()
            except queue.Empty:
                return
            done.put((n, worker.answer(lines[n], task)))
    except BaseException as problem:  # raised again where the answers are awaited
        done.put((n, problem))
    finally:
        worker.end()


class _Worker:
    """A process that judges one claim after the other, started anew where it ended."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self.process: subprocess.Popen[bytes] | None = None

    def answer(self, line: Line, task: Task) -> Answer:
        from gradproof.symbolic.verdict import Verdict

        assert line.claim is not None
        started = time.perf_counter()
        process = self._started(task)
        asked = {"claim": line.claim.to_dict(), "timeout": task.timeout, "fix": task.fix}
        said = None
        if process is not None:
            try:
                _stdin(process).write(json.dumps(asked).encode() + b"\n")
                _stdin(process).flush()
                started = time.perf_counter()
                said = self._read(process, task.timeout)
            except BrokenPipeError:
                said = b""
        if said:
            data = json.loads(said)
            return Answer(line, Verdict.from_dict(data["verdict"]), data.get("fix"))
        reason = self._problem(said, task)
        verdict = Verdict("undecided", reason=reason)
        return Answer(line, replace(verdict, seconds=time.perf_counter() - started))

    def _problem(self, said: bytes | None, task: Task) -> str:
        process = self.process
        self.end()
        if process is None:
            return "the process that judges it did not start"
        if said is None:
            return f"not decided within {task.timeout:g} s"
        status = process.returncode
        if status < 0:
            return f"the process that judged it ended by {signal.Signals(-status).name}"
        return f"the process that judged it ended with status {status}"

    def _started(self, task: Task) -> subprocess.Popen[bytes] | None:
        if self.process is None:
            self.process = subprocess.Popen(task.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            if not self._read(self.process, START):
                self.end()
        return self.process

    def _read(self, process: subprocess.Popen[bytes], seconds: float) -> bytes | None:
        """One line; nothing if the process ended, None if the time is over."""
        until = time.perf_counter() + seconds
        assert process.stdout is not None
        said = b""
        while not said.endswith(b"\n"):
            left = until - time.perf_counter()
            if left <= 0 or self.stop.is_set():
                return None
            if select.select([process.stdout], [], [], min(left, 0.5))[0]:
                part = os.read(process.stdout.fileno(), 1 << 16)
                if not part:
                    process.wait()
                    return b""
                said += part
        return said

    def end(self) -> None:
        """End the process, whatever it is doing."""
        if self.process is not None:
            process, self.process = self.process, None
            process.kill()
            for end in (process.stdin, process.stdout):
                if end is not None:
                    _close(end)
            process.wait()


def _stdin(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin


def _close(end: IO[bytes]) -> None:
    with suppress(BrokenPipeError):  # what was not yet written to a process that has ended
        end.close()


# --- in the worker


def work(read: IO[str], write: IO[str]) -> None:
    """Judge what is read, line by line."""
    from gradproof.symbolic.claims_file import read_claim
    from gradproof.symbolic.deadline import deadline
    from gradproof.symbolic.judgement import fix, judge
    from gradproof.symbolic.verdict import Verdict

    write.write("ready\n")
    write.flush()
    for line in read:
        asked: dict[str, Any] = json.loads(line)
        started = time.perf_counter()
        fixed = None
        claim = read_claim(asked["claim"])
        try:
            verdict = judge(claim, seconds=SHARE * asked["timeout"])
        except MemoryError:
            verdict = Verdict("undecided", reason="more memory than a claim may use")
        except Exception as problem:  # a defect met by one claim does not cost the answers to the others
            verdict = Verdict("undecided", reason=f"internal error: {_one_line(problem)} (please report it)")
        if asked["fix"] and verdict.verdict == "refuted":
            try:
                with deadline(SHARE * (asked["timeout"] - time.perf_counter() + started)):
                    fixed = fix(claim)
            except Exception as problem:  # the verdict stands without a fix
                print(f"gradproof: no fix of {claim.id}: {_one_line(problem)}", file=sys.stderr)
        write.write(json.dumps({"verdict": verdict.to_dict(), "fix": fixed}) + "\n")
        write.flush()


def _one_line(problem: Exception) -> str:
    return " ".join(f"{type(problem).__name__}: {problem}".split())


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    if soft == resource.RLIM_INFINITY or soft > wanted:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def main() -> None:
    """The worker: what it prints by accident goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    _limit_memory()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    work(sys.stdin, answers)


if __name__ == "__main__":
    main()
