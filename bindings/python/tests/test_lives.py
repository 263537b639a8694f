"""The follower's thread and the process: forks, a blocked event loop, and exits."""

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time

import tegata
import tegata.waiting
from tegata.asgi import Middleware
from waiting import until_gone


def run(program, *arguments):
    """Runs a program with its own interpreter; returns what it prints, or fails."""
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def credential(server, name):
    made = server.admin("POST", "/verifiers", {"name": name})
    return f"/verifiers/{made['verifier_id']}", made["verifier_token"]


FORK = """
    import os, sys, threading, tegata

    url, secret, token, *copy = sys.argv[1:]
    verifier = tegata.connect(url, secret, copy=copy[0] if copy else None)
    assert verifier.ready(60)
    assert verifier.verify(token) and verifier.age() is not None

    def verify():
        while True:
            verifier.verify(token)

    # A fork comes at any moment of other threads' verifications.
    for _ in range(2):
        threading.Thread(target=verify, daemon=True).start()
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            assert verifier.recall(token) is None, "the parent's follower is not here"
            assert verifier.ready(60)
            assert verifier.verify(token).channel
            assert verifier.recall(token) is not None
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    assert verifier.recall(token) is not None
    os._exit(0)
"""


def test_a_forked_process_verifies_by_a_follower_of_its_own(stand_in):
    path, secret = credential(stand_in, "forks")
    run(FORK, stand_in.url, secret, stand_in.issue())
    instances = stand_in.admin("GET", path)["instances"]
    assert len({it["instance"] for it in instances}) == 7


def test_a_forked_process_follows_without_the_copy_that_its_parent_has_locked(stand_in, tmp_path):
    path, secret = credential(stand_in, "forks-with-copy")
    run(FORK, stand_in.url, secret, stand_in.issue(), str(tmp_path / "copy"))
    instances = stand_in.admin("GET", path)["instances"]
    assert len({it["instance"] for it in instances}) == 7


def test_a_forked_process_that_lives_on_does_not_keep_the_copy_from_the_next_one(stand_in, tmp_path):
    _, secret = credential(stand_in, "outlived")
    program = """
        import os, sys, tegata
        url, secret, token, copy = sys.argv[1:]
        verifier = tegata.connect(url, secret, copy=copy)
        assert verifier.ready(60)
        ready, set_ready = os.pipe()
        if os.fork() == 0:
            assert verifier.ready(60) and verifier.verify(token)
            os.write(set_ready, b"x")
            # It lives on until its input ends.
            os.read(0, 1)
            os._exit(0)
        os.read(ready, 1)
        # As by a crash.
        os.kill(os.getpid(), 9)
    """
    copy = str(tmp_path / "copy")
    command = [sys.executable, "-c", textwrap.dedent(program), stand_in.url, secret, stand_in.issue(), copy]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as parent:
        assert parent.wait(120) == -9
        with tegata.connect(stand_in.url, secret, copy=copy) as verifier:
            assert verifier.ready(60)
        parent.stdin.close()


def test_a_process_forked_after_close_starts_no_follower(server):
    path, secret = credential(server, "closed")
    program = """
        import os, sys, tegata
        url, secret, token = sys.argv[1:]
        verifier = tegata.connect(url, secret)
        assert verifier.ready(60)
        verifier.verify(token)
        verifier.close(60)
        child = os.fork()
        try:
            verifier.verify(token)
        except tegata.Unknown:
            os._exit(0) if child == 0 else sys.exit(os.waitpid(child, 0)[1])
        os._exit(1)
    """
    run(program, server.url, secret, server.issue())
    assert server.admin("GET", path)["instances"] == []


def test_a_blocked_event_loop_does_not_age_the_view(server):
    staleness = 5
    verifier = server.connect(staleness=staleness)
    token = server.issue()

    async def blocks():
        await verifier.verify_async(token)
        # Nothing else runs in the loop meanwhile.
        time.sleep(1.3 * staleness)
        return await verifier.verify_async(token)

    assert asyncio.run(blocks()).channel == server.channel.id


def test_waiting_for_the_authority_does_not_block_the_event_loop(server):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        verifier = tegata.connect(f"http://127.0.0.1:{silent.getsockname()[1]}", "token")

        async def tick():
            ticks = 0
            try:
                while True:
                    await asyncio.sleep(0.01)
                    ticks += 1
            except asyncio.CancelledError:
                return ticks

        async def both():
            ticking = asyncio.create_task(tick())
            await asyncio.sleep(0)
            try:
                await verifier.verify_async("eyJ.a.b")
            except tegata.Unknown:
                ticking.cancel()
                return await ticking
            raise AssertionError("there is no view")

        assert asyncio.run(both()) > 3
        verifier.close(0)


def of_an_unknown_key(token):
    """A token as it would be under another key, which none knows."""
    header, rest = token.split(".", 1)
    text = base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)).decode()
    kid = json.loads(text)["kid"]
    other = ("B" if kid[0] == "A" else "A") + kid[1:]
    return base64.urlsafe_b64encode(text.replace(kid, other).encode()).decode().rstrip("=") + "." + rest


def test_tokens_of_unknown_keys_keep_no_thread_and_only_so_many_of_them_wait(stand_in):
    verifier = stand_in.connect(staleness=60)
    good = stand_in.issue()
    bad = of_an_unknown_key(good)
    assert verifier.recall(bad) is None
    # The authority is silent, so each of them waits for a second.
    stand_in.fault(503, count=1_000_000, path="/feed/")
    app = Middleware(None, verifier)
    answers = {"busy": 0, "late": 0, "asgi": 0}
    began = time.monotonic()

    async def send(message):
        if message["type"] == "http.response.start":
            assert message["status"] == 503
            answers["asgi"] += 1

    async def verify():
        try:
            await verifier.verify_async(bad)
        except tegata.Unknown as unknown:
            answers["busy" if "too many" in str(unknown) else "late"] += 1

    async def flood():
        scope = {"type": "http", "headers": [(b"authorization", b"Bearer " + bad.encode())]}
        waiting = [app(scope, None, send) if it % 2 == 0 else verify() for it in range(1_100)]
        waiting = [asyncio.create_task(it) for it in waiting]
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        for _ in range(20):
            await loop.run_in_executor(None, os.getpid)
        assert await verifier.verify_async(good)
        await asyncio.gather(*waiting)

    asyncio.run(flood())
    # On the threads of the executor, they would take minutes.
    assert time.monotonic() - began < 60
    assert answers["busy"] > 0 and answers["late"] > 0 and answers["asgi"] == 550, answers
    # There is room again, and an answer.
    stand_in.clear_faults()
    try:
        asyncio.run(verifier.verify_async(bad))
    except tegata.Invalid:
        pass
    except tegata.Unknown as late:
        assert "in time" in str(late)
    assert not tegata.waiting._desks


def test_a_verification_that_is_cancelled_leaves_nothing(stand_in):
    verifier = stand_in.connect(staleness=60)
    bad = of_an_unknown_key(stand_in.issue())
    stand_in.fault(503, count=1_000_000, path="/feed/")

    async def cancelled():
        waiting = [asyncio.create_task(verifier.verify_async(bad)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        assert len(tegata.waiting._desks) == 1, "the others still wait"
        for it in waiting:
            it.cancel()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(it, asyncio.CancelledError) for it in ended), ended
        assert not tegata.waiting._desks

    asyncio.run(cancelled())


def test_an_interpreter_exits_while_verifications_wait(stand_in):
    verifier = stand_in.connect(staleness=60)
    bad = of_an_unknown_key(stand_in.issue())
    del verifier
    _, secret = credential(stand_in, "waits")
    program = """
        import asyncio, sys, tegata
        url, secret, bad = sys.argv[1:]
        verifier = tegata.connect(url, secret)
        assert verifier.ready(60)

        async def leave():
            for _ in range(100):
                asyncio.ensure_future(verifier.verify_async(bad))
            await asyncio.sleep(0)

        asyncio.run(leave())
        print("left")
    """
    assert run(program, stand_in.url, secret, bad) == ["left"]


def test_other_threads_run_while_one_waits_for_the_authority(server):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        verifier = tegata.connect(f"http://127.0.0.1:{silent.getsockname()[1]}", "token")
        waiting = threading.Thread(target=lambda: verifier.ready(1))
        waiting.start()
        rounds = 0
        while waiting.is_alive():
            time.sleep(0.01)
            rounds += 1
        assert rounds > 3
        verifier.close(0)


def test_an_interpreter_exits_without_close_and_says_so_to_the_authority(server):
    path, secret = credential(server, "exits")
    program = """
        import sys, tegata
        url, secret, token = sys.argv[1:]
        verifier = tegata.Verifier(url, secret)
        assert verifier.ready(60)
        print(verifier.verify(token).channel)
    """
    assert run(program, server.url, secret, server.issue()) == [server.channel.id]
    until_gone(server, path)


def test_an_interpreter_exits_while_the_authority_is_silent():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        program = """
            import sys, tegata, time
            verifier = tegata.connect(sys.argv[1], "token")
            print(time.monotonic())
        """
        [began] = run(program, f"http://127.0.0.1:{silent.getsockname()[1]}")
        # The clock is the machine's. The exit waits for a second.
        assert time.monotonic() - float(began) < 30


def test_an_interpreter_with_many_verifiers_exits_after_a_second_while_the_authority_is_silent():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        program = """
            import sys, tegata, time
            many = [tegata.connect(sys.argv[1], "token") for _ in range(20)]
            print(time.monotonic())
        """
        [began] = run(program, f"http://127.0.0.1:{silent.getsockname()[1]}")
        # One after the other, they would take 20 s.
        assert time.monotonic() - float(began) < 15


def test_an_exit_by_exception_or_signal_hangs_no_more_than_another(stand_in):
    _, secret = credential(stand_in, "signals")
    for act, code in [("raise SystemExit(3)", 3), ("os.kill(os.getpid(), 15)", -15)]:
        program = f"import os, tegata; v = tegata.connect({stand_in.url!r}, {secret!r}); v.ready(60); {act}"
        assert subprocess.run([sys.executable, "-c", program], timeout=120).returncode == code


def test_an_interrupt_ends_a_wait_for_a_view():
    program = """
        import signal, tegata, threading, os, time
        # A shell starts what runs in the background with interrupts ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        verifier = tegata.connect("http://127.0.0.1:9", "token")
        timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        try:
            verifier.ready(600)
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert run(program) == ["interrupted"]


def test_a_dropped_verifier_leaves_no_thread():
    program = """
        import os, tegata, time
        def threads():
            return sum(open(f"/proc/self/task/{it}/comm").read() == "tegata-verifier\\n" for it in os.listdir("/proc/self/task"))
        def until(number):
            began = time.monotonic()
            while threads() != number:
                assert time.monotonic() - began < 60, threads()
                time.sleep(0.01)
        verifier = tegata.connect("http://127.0.0.1:9", "token")
        until(1)
        del verifier
        until(0)
    """
    run(program)


def test_the_module_has_no_thread_until_a_verifier_is_connected():
    program = "import tegata, os; tegata.Verifier; print(len(os.listdir('/proc/self/task')))"
    assert run(program) == ["1"]


def test_the_program_of_the_package_runs():
    name = os.path.join(os.path.dirname(sys.executable), "tegata")
    for command in [[name], [sys.executable, "-m", "tegata"]]:
        shown = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60)
        assert shown.stdout.startswith("tegata "), shown.stderr
