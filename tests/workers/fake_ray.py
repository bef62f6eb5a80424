"""As much of Ray as the pool asks for, with threads in place of processes: quick, and no cluster.

An actor's method runs in a thread of its own; `kill` makes what it was asked, and what it is asked
from then on, raise `RayActorError`. What travels is pickled where `pickled` is set.
"""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError
from concurrent.futures import wait as wait_futures
from types import SimpleNamespace


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class RayTaskError(RayError):
    def __init__(self, cause):
        super().__init__(str(cause))
        self.cause = cause


class FakeRay:
    """Stands for the module."""

    __spec__ = SimpleNamespace(name="ray")
    exceptions = SimpleNamespace(
        RayError=RayError, RayActorError=RayActorError, RayTaskError=RayTaskError
    )

    def __init__(self, cpus=2, pickled=False):
        self.cpus, self.pickled = cpus, pickled
        self.actors = []

    def is_initialized(self):
        return True

    def cluster_resources(self):
        return {"CPU": float(self.cpus)}

    def put(self, value):
        return value

    def get(self, ref):
        return self.travel(ref.result())

    def travel(self, value):
        return pickle.loads(pickle.dumps(value)) if self.pickled else value

    def wait(self, refs, num_returns=1, timeout=None):
        done, _ = wait_futures(refs, timeout, FIRST_COMPLETED)
        found = [ref for ref in refs if ref in done][:num_returns]
        return found, [ref for ref in refs if ref not in found]

    def kill(self, actor):
        actor.kill()

    def remote(self, kind):
        def make(*arguments):
            self.actors.append(Actor(self, kind(*self.travel(arguments))))
            return self.actors[-1]

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=make))


class Actor:
    def __init__(self, ray, made):
        self._ray, self._made, self._alive, self._refs = ray, made, True, []

    def __getattr__(self, name):
        return SimpleNamespace(remote=lambda *given: self._call(name, self._ray.travel(given)))

    def _call(self, name, arguments):
        ref = Future()
        self._refs.append(ref)
        if not self._alive:
            ref.set_exception(RayActorError("it is dead"))
        elif name in ("give", "drop"):  # in order, as Ray keeps it
            ref.set_result(getattr(self._made, name)(*arguments))
        else:
            threading.Thread(target=self._run, args=(ref, name, arguments), daemon=True).start()
        return ref

    def _run(self, ref, name, arguments):
        try:
            result = getattr(self._made, name)(*arguments)
        except Exception as error:
            self._settle(ref, error=RayTaskError(error))
        else:
            self._settle(ref, result)

    @staticmethod
    def _settle(ref, result=None, error=None):
        try:
            if error is not None:
                ref.set_exception(error)
            else:
                ref.set_result(result)
        except InvalidStateError:
            pass  # it died meanwhile

    def kill(self):
        self._alive = False
        self._made.close_soon()
        for ref in self._refs:
            self._settle(ref, error=RayActorError("it was killed"))
