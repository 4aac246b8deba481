"""Who ought to be told, worked out from the contact list alone: the yardstick for the demonstration."""

from dataclasses import dataclass

from tools.demo.contacts import Recording


@dataclass(frozen=True)
class Expectation:
    """What is right for one person: minutes in range of the patient and of who passed on; generation or None."""

    person: str
    minutes_with_patient: float
    minutes_with_passer: float
    generation: int | None


def told(recording: Recording, source: str, rule_minutes: int, without: set[str]) -> set[str]:
    """Everybody in range of `source` for `rule_minutes` or longer, but those in `without`."""
    return {
        person
        for person in recording.people
        if person != source and person not in without and recording.seconds(source, person) >= 60 * rule_minutes
    }


def choose_passer(recording: Recording, patient: str, rule_minutes: int) -> str | None:
    """The contact whose log leads to the most further people; None when nobody is told at all."""
    first = told(recording, patient, rule_minutes, set())
    return min(
        first,
        key=lambda person: (-len(told(recording, person, rule_minutes, first | {patient})), person),
        default=None,
    )


def expect(recording: Recording, patient: str, passer: str | None, rule_minutes: int) -> list[Expectation]:
    """What is right for everybody but the patient, when `passer` (if any) authorises the chain to go on to depth 2."""
    first = told(recording, patient, rule_minutes, set())
    second = told(recording, passer, rule_minutes, first | {patient}) if passer else set()
    return [
        Expectation(
            person,
            recording.seconds(patient, person) / 60,
            recording.seconds(passer, person) / 60 if passer and passer != person else 0.0,
            1 if person in first else 2 if person in second else None,
        )
        for person in recording.people
        if person != patient
    ]
