"""Plays the chain: backend, badges, companions, contacts, a positive test, notifications, one link more, the verdict.

Every part is the shipped one in its own process; this only moves people, runs commands and looks at what they answer.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tools.demo import table, truth
from tools.demo.backend import Backend
from tools.demo.companions import Companion
from tools.demo.contacts import SLOT, Recording
from tools.demo.processes import DemoError, Processes
from tools.simulator.air import Air
from tools.simulator.badge import BadgeError

_DISEASE = "U07.1"
_DEPTH = 2
_BETWEEN_PEOPLE = -60  # dBm
_TO_COMPANION = -50
_MARGIN = 1  # seconds by which a meeting begins late and ends early, so that badge clocks may differ that much
_TURNS = 3  # companions at work for each core: most of the time they wait for a server or for a badge
_STRIDE = 60  # seconds of contacts after which the bar moves, if nobody comes or goes before
_REFRESH = 0.25  # real seconds after which it does, when the contacts pass at a given speed
_GLANCE = 0.05  # real seconds between two looks whether the owner key is there
_LOOK_SECONDS = 1.0  # between two looks whether all servers still run
# Who tries the portal: role and name.
_AT_DESK = (
    ("test-site", "tess"), ("case-worker", "carl"), ("decider", "dora"), ("decider", "dan"),
    ("administrator", "ada"), ("auditor", "otto"),
)  # fmt: skip
_PATIENCE = 300.0  # real seconds for notifications to arrive, on a busy machine


def _badge(person: str) -> str:
    return f"badge of {person}"


def _desk(person: str) -> str:
    return f"companion of {person}"


@dataclass(frozen=True)
class Play:
    """What is played: who meets whom, who falls ill, who lets the chain go on (if anybody), the rule in minutes."""

    recording: Recording
    patient: str
    passer: str | None
    rule_minutes: int
    scale: float | None = None  # the contacts pass at most so many times as fast as they did; None: as fast as it goes


@dataclass
class _Stage:
    """Everything and everybody of a running play."""

    play: Play
    console: Console
    folder: Path
    processes: Processes
    air: Air
    backend: Backend
    companions: dict[str, Companion]
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """One line about a step, with the wall time since the start."""
        self.console.print(f"[dim]{time.monotonic() - self.started:5.0f} s[/]  {text}", soft_wrap=True)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """A sign of life during a step of unknown length; nothing where the output is no terminal."""
        if self.console.is_terminal:
            with self.console.status(text):
                yield
        else:
            yield

    @contextmanager
    def progress(self, text: str, total: float) -> Iterator[Callable[[float], None]]:
        """A bar while a step takes its time; yields the function that moves it on."""
        columns = (TextColumn("         {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as bar:
            task = bar.add_task(text, total=total)
            yield lambda step: bar.advance(task, step)

    def at_desk(self, person: str, there: bool) -> None:
        """The person's badge comes into range of the companion, or leaves it."""
        self.air.set_range(_badge(person), _desk(person), _TO_COMPANION if there else None)

    def at_desks(self, there: bool) -> None:
        """The same for all."""
        for person in self.companions:
            self.at_desk(person, there)

    async def everybody(self, text: str, action: Callable[[Companion], Awaitable[Any]]) -> dict[str, Any]:
        """The same for each person, as many at a time as companions take turns; answers by person."""
        answers: dict[str, Any] = {}
        with self.progress(text, len(self.companions)) as advance:

            async def one(companion: Companion) -> None:
                answers[companion.person] = await action(companion)
                advance(1)

            async with asyncio.TaskGroup() as group:
                for companion in self.companions.values():
                    group.create_task(one(companion))
        return answers


async def _set_up(stage: _Stage) -> None:
    """Backend up, addresses registered and confirmed, badges booted and provisioned."""
    recording, people = stage.play.recording, len(stage.companions)
    play = stage.play
    chain = f", {play.passer} will let the chain go on" if play.passer else ""
    minutes = (recording.end - recording.start) // 60
    stage.say(
        f"play: {people} people, {minutes} minutes of contacts; {play.patient} will test positive{chain}; "
        f"to be told: who was near them for {play.rule_minutes} min or more"
    )
    with stage.waiting("starting the backend"):
        names = await stage.backend.start()
    stage.say(f"backend: {len(names)} servers, each a process with its own store: {', '.join(names)}")

    slots = (recording.origin + recording.end) // SLOT + 1 - int(stage.air.now) // SLOT

    async def register(companion: Companion) -> Any:
        await companion.command("init", str(stage.backend.network_file))
        return await companion.command("register", "--slots", str(slots))

    answers = await stage.everybody("registering", register)
    confirmed = sum(answer["confirmed"] for answer in answers.values())
    stage.say(f"companions: {confirmed} contact addresses registered through the mixes and confirmed, one per slot")

    async def provision(companion: Companion) -> None:
        flash = stage.folder / "badges" / companion.person
        flash.mkdir(parents=True)
        companion.adapter = f"bumble:tcp-client:127.0.0.1:{await stage.air.add_adapter(_desk(companion.person))}"
        async with asyncio.TaskGroup() as group:
            group.create_task(companion.command("badge", "provision", "--usb", str(flash)))
            group.create_task(boot(companion.person, flash))

    async def boot(person: str, flash: Path) -> None:
        """Start the badge once the owner key is on it, as the reset after copying does."""
        while not (flash / "owner.key").exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(_GLANCE)
        await stage.air.start_badge(_badge(person), flash)
        stage.at_desk(person, True)

    stage.air.realtime(1)
    await stage.everybody("provisioning", provision)
    stage.air.hold()
    stage.at_desks(False)
    stage.say(f"badges: {people} booted (MicroPython, ESP32 heap); owner key by USB, the rest over Bluetooth")


async def _meet(stage: _Stage) -> None:
    """Play the contacts: people in and out of range, slot after slot, as fast as the badges can."""
    recording, origin, air = stage.play.recording, stage.play.recording.origin, stage.air
    changes: list[tuple[int, bool, str, str]] = []
    for (one, other), stretches in recording.meetings.items():
        for start, end in stretches:
            changes += [(start + _MARGIN, True, one, other), (end - _MARGIN, False, one, other)]
    await air.run_until(origin + recording.start)
    slots = (recording.end - recording.start) // SLOT
    now, began = recording.start, time.monotonic()
    stride = _STRIDE if stage.play.scale is None else min(_STRIDE, max(1, int(stage.play.scale * _REFRESH)))
    with stage.progress("people meet, in seconds", recording.end - recording.start) as advance:
        for moment, near, one, other in [*sorted(changes), (recording.end, False, "", "")]:
            # In strides, so that the bar moves and a badge that has died is noticed.
            while now < moment:
                step = min(moment, now + stride)
                await air.run_until(origin + step)
                if stage.play.scale is not None:
                    due = began + (step - recording.start) / stage.play.scale
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                stage.processes.check()
                advance(step - now)
                now = step
            if one:
                air.set_range(_badge(one), _badge(other), _BETWEEN_PEOPLE if near else None)
    await air.run_until(origin + recording.end + 10)  # the badges seal the last slot
    stage.say(f"contacts: {slots} slots of five minutes, {len(recording.meetings)} pairs in and out of range")


async def _sync(stage: _Stage) -> None:
    """Companions pull the sealed logs."""
    stage.at_desks(True)
    stage.air.realtime(1)
    answers = await stage.everybody("pulling logs", lambda companion: companion.command("badge", "sync"))
    stage.air.hold()
    records, size = (sum(answer[key] for answer in answers.values()) for key in ("records", "bytes"))
    stage.say(f"companions: {records} sealed records pulled over Bluetooth ({size} bytes); the badges free them")


async def _decide_and_deliver(stage: _Stage, told: dict[str, float], generation: int) -> list[str]:
    """Staff approve the one pending report; everybody polls until all its notifications are in. Who was told now."""
    with stage.waiting("the nymserver opens the log"):
        report = await stage.backend.pending_report()
    exposures = report["exposures"]
    longest = sorted((exposure["minutes"] for exposure in exposures), reverse=True)[:3]
    stage.say(
        f"health authority: staff see {len(exposures)} exposures without addresses, the longest "
        f"{', '.join(f'{minutes:.1f}' for minutes in longest)} min in a slot"
    )
    sent = await stage.backend.approve(report["report"], stage.play.rule_minutes, _DEPTH)
    stage.say(
        f"health authority: approved, tell from {stage.play.rule_minutes} min on; the chain may go {_DEPTH} generations"
    )
    # Each poll is a process per person: look once what was sent has had its time, and again if something is missing.
    seconds = stage.backend.seconds_under_way(sent)
    with stage.progress("notifications under way, in seconds", round(seconds, 1)) as advance:
        arrival = time.monotonic() + seconds
        while (left := arrival - time.monotonic()) > 0:
            step = min(_REFRESH, left)
            await asyncio.sleep(step)
            advance(step)
    received, fresh = 0, []
    deadline = time.monotonic() + _PATIENCE
    while True:
        answers = await stage.everybody("polling mailboxes", lambda companion: companion.command("poll"))
        received += sum(answer["notifications"] for answer in answers.values())
        fresh += [person for person, answer in answers.items() if answer["told"]]
        if received >= sent or time.monotonic() > deadline:
            break
        stage.processes.check()
    stage.say(f"nymserver: {received} of {sent} notifications came through the mixes into mailboxes")
    for person in sorted(set(fresh) - set(told)):
        shown = await stage.companions[person].command("exposures", "list")
        told[person] = max(exposure["minutes"] for exposure in shown["exposures"])
        stage.say(f"[bold]{person} is told[/]: {told[person]:.1f} min, generation {generation}")
    return sorted(set(fresh))


async def _notify(stage: _Stage) -> list[table.Outcome]:
    """A positive test, and what follows from it."""
    play = stage.play
    code = (await stage.companions[play.patient].command("commit"))["code"]
    stage.say(f"{play.patient} is tested; the test site enters the code of the log, {code}, and hands out a token")
    token = await stage.backend.issue_token(_DISEASE, code)
    report = await stage.companions[play.patient].command("report", "--token", token, "--yes")
    stage.say(f"{play.patient} tests positive, redeems a one-time token and uploads {report['records']} sealed records")
    told: dict[str, float] = {}
    generation = dict.fromkeys(await _decide_and_deliver(stage, told, 1), 1)

    passer = play.passer
    if passer is not None and passer in generation:
        case = (await stage.companions[passer].command("exposures", "list"))["exposures"][0]["case"]
        passed = await stage.companions[passer].command("pass-on", case, "--yes")
        stage.say(f"{passer} lets the chain go on and uploads {passed['records']} sealed records")
        for person in await _decide_and_deliver(stage, told, 2):
            generation.setdefault(person, 2)
    expected = truth.expect(play.recording, play.patient, passer, play.rule_minutes)
    if play.patient in generation:
        raise DemoError(f"{play.patient}, who is the patient, was told of the own case")
    return [table.Outcome(row, told.get(row.person), generation.get(row.person)) for row in expected]


async def _open_desk(stage: _Stage) -> None:
    """Everybody who may has handed a log in; staff decide in a browser, until somebody ends it."""
    for person in (stage.play.patient, stage.play.passer):
        if person is not None:
            code = (await stage.companions[person].command("commit"))["code"]
            token = await stage.backend.issue_token(_DISEASE, code)
            await stage.companions[person].command("report", "--token", token, "--yes")
    logins = [await stage.backend.sign_in(role, name) for role, name in _AT_DESK]
    stage.air.realtime(1)
    show = stage.console.print
    show(f"\nThe portal is at [bold]{stage.backend.portal}[/], until you press Ctrl-C. Sign in as:\n")
    for each in logins:
        show(f"  {each.name:8} password {each.password}   code {each.code}   ({each.role})", highlight=False)
    show("\nEach code counts once: your account's page makes others, and takes a passkey. The cases wait.")
    while True:
        stage.processes.check()
        await asyncio.sleep(_LOOK_SECONDS)


async def perform(play: Play, console: Console, keep: bool = False, desk: bool = False) -> list[str]:
    """Play it all and show the table; what went wrong, a sentence each (empty: exactly the right people were told).
    `desk`: staff decide in the portal instead, and nothing ends by itself."""
    folder = Path(tempfile.mkdtemp(prefix="anontrace-demo-"))
    logs, clock = folder / "logs", folder / "clock"
    logs.mkdir()
    # Time for boot and Bluetooth sessions, which run in real time, before the first contact.
    lead = SLOT * (2 + len(play.recording.people) // 8)
    start = play.recording.origin + play.recording.start - lead
    processes = Processes(logs, {"ANONTRACE_CLOCK": str(clock)})
    turns = asyncio.Semaphore(_TURNS * (os.cpu_count() or 2))
    companions = {
        person: Companion(person, folder / "companions" / person, processes, turns) for person in play.recording.people
    }
    try:
        async with Air(clock, start, log_dir=logs) as air:
            try:
                backend = Backend(folder / "backend", processes)
                stage = _Stage(play, console, folder, processes, air, backend, companions)
                await _set_up(stage)
                await _meet(stage)
                await _sync(stage)
                if desk:
                    await _open_desk(stage)
                outcomes = await _notify(stage)
                console.print(table.build(outcomes, play.patient, play.passer))
                faults = table.faults(outcomes)
                if not faults:
                    stage.say("[bold green]exactly the right people were told[/]")
                return faults
            finally:
                await processes.stop()
    except* (DemoError, BadgeError, OSError) as errors:
        raise _first(errors) from None
    finally:
        if keep:
            console.print(f"logs and stores are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _first(errors: BaseExceptionGroup[Any]) -> DemoError:
    """The first of several errors that happened together, as a reason to stop."""
    error = errors.exceptions[0]
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return DemoError(str(error))
