"""QR codes as SVG."""

import segno
from markupsafe import Markup


def qr(what: str, label: str) -> Markup:
    """A QR code of this text, called so for those who do not see it."""
    made = segno.make(what, error="m", micro=False)
    return Markup(made.svg_inline(scale=4, border=2, title=label, omitsize=True, svgclass="qr", lineclass=None))  # noqa: S704
