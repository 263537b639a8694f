"""Waits in asyncio for what the authority answers, without a thread.

`run_in_executor` would keep a thread of the program's pool for each verification that waits, and a
client without a credential can cause those, by tokens that name an unknown key.
"""

import asyncio
import itertools

from ._tegata import Answers

_numbers = itertools.count()

#: The event loops in which something waits.
_desks: "dict[asyncio.AbstractEventLoop, _Desk]" = {}


async def answer(ask, *question):
    """What `ask(answers, number, *question)` is answered; raises it if it is an exception."""
    loop = asyncio.get_running_loop()
    desk = _desks.get(loop) or _Desk(loop)
    return await desk.answer(ask, question)


class _Desk:
    """What waits in one event loop, by its number."""

    def __init__(self, loop):
        self._loop = loop
        self._answers = Answers()
        self._waiting = {}
        loop.add_reader(self._answers.fileno(), self._deliver)
        _desks[loop] = self

    async def answer(self, ask, question):
        number = next(_numbers)
        future = self._waiting[number] = self._loop.create_future()
        try:
            ask(self._answers, number, *question)
            return await future
        finally:
            del self._waiting[number]
            if not self._waiting:
                # Nothing of an event loop is kept that may be closed by now.
                self._loop.remove_reader(self._answers.fileno())
                _desks.pop(self._loop, None)

    def _deliver(self):
        for number, found in self._answers.take():
            future = self._waiting.get(number)
            # It was cancelled, as when a client has disconnected.
            if future is None or future.done():
                continue
            if isinstance(found, Exception):
                future.set_exception(found)
            else:
                future.set_result(found)
