"""What the authority's disease codes mean to the wearer: those codes of ICD-10 that contact tracing has dealt with."""

from anontrace.companion.words import later, spoken, spoken_in
from anontrace.pages.catalogue import ENGLISH

_NAMES = {
    "A00": later("cholera"),
    "A15": later("tuberculosis of the lungs"),
    "A37": later("whooping cough"),
    "A39": later("meningococcal disease"),
    "A98.4": later("Ebola virus disease"),
    "B01": later("chickenpox"),
    "B04": later("mpox"),
    "B05": later("measles"),
    "B06": later("rubella"),
    "B26": later("mumps"),
    "J09": later("influenza of animal origin"),
    "J10": later("influenza"),
    "J11": later("influenza"),
    "U04": later("SARS"),
    "U04.9": later("SARS"),
    "U07.1": later("COVID-19"),
    "U07.2": later("COVID-19 (not confirmed by a test)"),
}


def name_of(code: str) -> str:
    """The disease's name with its code; a code that is not in the table is shown as such."""
    name = _NAMES.get(code) or _NAMES.get(code.partition(".")[0])
    return f"{spoken(name)} ({code})" if name else spoken("a disease with the code %(code)s (ICD-10)", code=code)


def english_name_of(code: str) -> str:
    """The same for a program."""
    with spoken_in(ENGLISH):
        return name_of(code)
