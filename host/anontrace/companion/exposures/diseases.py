"""What the authority's disease codes mean to the wearer: those codes of ICD-10 that contact tracing has dealt with."""

_NAMES = {
    "A00": "cholera",
    "A15": "tuberculosis of the lungs",
    "A37": "whooping cough",
    "A39": "meningococcal disease",
    "A98.4": "Ebola virus disease",
    "B01": "chickenpox",
    "B04": "mpox",
    "B05": "measles",
    "B06": "rubella",
    "B26": "mumps",
    "J09": "influenza of animal origin",
    "J10": "influenza",
    "J11": "influenza",
    "U04": "SARS",
    "U04.9": "SARS",
    "U07.1": "COVID-19",
    "U07.2": "COVID-19 (not confirmed by a test)",
}


def name_of(code: str) -> str:
    """The disease's name with its code; a code that is not in the table is shown as such."""
    name = _NAMES.get(code) or _NAMES.get(code.partition(".")[0])
    return f"{name} ({code})" if name else f"a disease with the code {code} (ICD-10)"
