# SPDX-License-Identifier: Apache-2.0
"""Requests without a pause, whose verdicts are known, while a scene changes what it likes."""
import contextlib
import random
import threading
import time

from workload import OK, get


class Truth:
    """Which paths are allowed. In the middle of a change either answer is right; a request that is
    allowed before and after it has to be answered whatever happens."""

    def __init__(self, *allowed):
        self.lock = threading.Lock()
        self.allowed, self.next, self.epoch = set(allowed), None, 0

    def now(self):
        with self.lock:
            return self.epoch, self.allowed, self.next or self.allowed

    @contextlib.contextmanager
    def change(self, *allowed):
        with self.lock:
            self.next, self.epoch = set(allowed), self.epoch + 1
        yield
        with self.lock:
            self.allowed, self.next, self.epoch = set(allowed), None, self.epoch + 1


def _answer(end, path):
    """200 or 403; None: the connection ended."""
    try:
        end.send(get(path))
        return end.read_response().status
    except (EOFError, ConnectionError):
        return None


class Steady:
    """COUNT connections that CONNECT() makes, on each of which one of PATHS is asked for at a time.
    A context manager; .wrong says what was not as TRUTH has it. MAY_END: connections may, at any
    time, since whoever carries them is killed."""

    def __init__(self, connect, truth, paths, count=1, pause=0.0, may_end=False):
        self.connect, self.truth, self.paths, self.pause = connect, truth, paths, pause
        self.may_end = may_end
        self.ends = [connect() for _ in range(count)]
        self.wrong, self.answers, self.ended = [], {200: 0, 403: 0, None: 0}, False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()
        for end in self.ends:
            end.close()

    def _run(self):
        chance = random.Random(1)
        while not self.ended:
            try:
                self._ask(chance.randrange(len(self.ends)), chance.choice(self.paths))
            except Exception as error:  # the scene looks at it
                self.wrong.append(repr(error))
                return
            time.sleep(self.pause)

    def _ask(self, which, path):
        epoch, before, after = self.truth.now()
        status = _answer(self.ends[which], path)
        later, now, soon = self.truth.now()
        sure = {200 if path in allowed else 403 for allowed in (before, after, now, soon)}
        # A connection ends when what is in flight is denied by a change; nothing else ends it.
        right = sure if len(sure) == 1 else {200, 403, None}
        self.answers[status] += 1
        if status not in right and not (status is None and self.may_end):
            self.wrong.append((path, status, epoch, later, sure))
        if status is None:
            self.ends[which].close()
            self.ends[which] = self.connect()

    def wait(self, more=20):
        """So many more requests have been answered."""
        wanted = sum(self.answers.values()) + more
        deadline = time.monotonic() + 30
        while sum(self.answers.values()) < wanted and not self.wrong:
            assert time.monotonic() < deadline and self.thread.is_alive(), self.answers
            time.sleep(0.002)


class Answering:
    """A listening socket of a scene's, at which whoever comes is told 200 as often as he asks."""

    def __init__(self, sock):
        self.sock, self.ended, self.threads = sock, False, []
        self.paths = []

    def __enter__(self):
        self.sock.settimeout(0.1)
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()
        return self

    def __exit__(self, *_):
        self.ended = True
        for thread in self.threads:
            thread.join()

    def _accept(self):
        while not self.ended:
            with contextlib.suppress(TimeoutError, OSError):
                client, _ = self.sock.accept()
                client.settimeout(0.1)
                self.threads.append(threading.Thread(target=self._serve, args=(client,),
                                                     daemon=True))
                self.threads[-1].start()

    def _serve(self, client):
        buffer = b""
        with client:
            while not self.ended:
                try:
                    data = client.recv(1 << 16)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not data:
                    return
                *heads, buffer = (buffer + data).split(b"\r\n\r\n")
                self.paths += [head.split(b" ", 2)[1].decode() for head in heads]
                with contextlib.suppress(OSError):
                    client.sendall(OK * len(heads))
