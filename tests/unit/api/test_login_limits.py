"""How logins take turns: strangers with wrong passwords keep no clinician out."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from dermtriage.core.errors import NotAuthenticated
from dermtriage_api.http.problems import HTTPProblem
from dermtriage_api.login_limits import (
    FAILURES_PER_ADDRESS,
    FAILURES_PER_NAME,
    MAX_WAITING,
    UNFAMILIAR_SLOTS,
    LoginLimits,
)

HOME, AWAY = "192.0.2.1", "198.51.100.1"


class Clock:
    """Notes how long logins were made to wait, and lets them go on at once."""

    def __init__(self) -> None:
        self.waited: list[float] = []
        self.stopped = False

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        if self.stopped:
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def log_in(limits: LoginLimits, name: str, address: str) -> None:
    async with limits.attempt(name, address):
        pass


async def fail(limits: LoginLimits, name: str, address: str) -> None:
    with pytest.raises(NotAuthenticated):
        async with limits.attempt(name, address):
            raise NotAuthenticated("wrong")


Scenario = Callable[[LoginLimits, Clock], Coroutine[Any, Any, None]]


def run(scenario: Scenario) -> Clock:
    async def main() -> Clock:
        clock = Clock()
        await asyncio.wait_for(scenario(LoginLimits(clock.sleep), clock), 10)
        return clock

    return asyncio.run(main())


def test_logins_without_failures_do_not_wait() -> None:
    async def scenario(limits: LoginLimits, _: Clock) -> None:
        for _number in range(100):
            await log_in(limits, "m.okafor", HOME)

    assert run(scenario).waited == []


def test_after_many_failures_a_name_takes_turns_from_every_address() -> None:
    async def scenario(limits: LoginLimits, _: Clock) -> None:
        for number in range(FAILURES_PER_NAME + 1):
            await fail(limits, "m.okafor", f"198.51.100.{number}")

    assert len(run(scenario).waited) == 1


def test_after_many_failures_an_address_takes_turns_with_every_name() -> None:
    async def scenario(limits: LoginLimits, _: Clock) -> None:
        for number in range(FAILURES_PER_ADDRESS + 1):
            await fail(limits, f"name {number}", AWAY)

    assert len(run(scenario).waited) == 1


def test_a_familiar_login_does_not_wait_for_strangers() -> None:
    async def scenario(limits: LoginLimits, clock: Clock) -> None:
        await log_in(limits, "m.okafor", HOME)
        for number in range(FAILURES_PER_ADDRESS):
            await fail(limits, f"name {number}", HOME)
        for _ in range(FAILURES_PER_NAME):
            await fail(limits, "m.okafor", AWAY)
        clock.waited.clear()
        await log_in(limits, "m.okafor", HOME)

    assert run(scenario).waited == []


def test_a_familiar_login_has_a_slot_when_strangers_hold_all_others() -> None:
    async def scenario(limits: LoginLimits, _: Clock) -> None:
        await log_in(limits, "m.okafor", HOME)

        async def hold(number: int) -> None:
            async with limits.attempt(f"name {number}", AWAY):
                await asyncio.Event().wait()

        holding = [asyncio.create_task(hold(number)) for number in range(3 * UNFAMILIAR_SLOTS)]
        await asyncio.sleep(0)
        await asyncio.wait_for(log_in(limits, "m.okafor", HOME), 1)
        for task in holding:
            task.cancel()

    run(scenario)


def test_those_who_guess_a_familiar_name_from_its_address_only_slow_it_down() -> None:
    async def scenario(limits: LoginLimits, _: Clock) -> None:
        await log_in(limits, "m.okafor", HOME)
        for _number in range(FAILURES_PER_NAME):
            await fail(limits, "m.okafor", HOME)
        await log_in(limits, "m.okafor", HOME)

    assert len(run(scenario).waited) == 1


def test_too_many_waiting_logins_are_refused() -> None:
    async def scenario(limits: LoginLimits, clock: Clock) -> None:
        for _ in range(FAILURES_PER_NAME):
            await fail(limits, "m.okafor", AWAY)
        clock.stopped = True
        waiting = [
            asyncio.create_task(log_in(limits, "m.okafor", AWAY)) for _ in range(MAX_WAITING)
        ]
        await asyncio.sleep(0.01)
        with pytest.raises(HTTPProblem) as caught:
            await log_in(limits, "m.okafor", AWAY)
        assert (caught.value.status_code, caught.value.code) == (429, "too_many_logins")
        for task in waiting:
            task.cancel()

    run(scenario)
