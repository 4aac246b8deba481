"""What the servers log, and how: lines of text, or of JSON for machines, on standard error.

What is logged is written for operators and never holds an address, key, token or client IP. No library may log
requests: httpx and uvicorn would name addresses.
"""

import json
import logging
import time


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, message, and with --debug the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(debug: bool, as_json: bool) -> None:
    """For this process. `debug` lets tracebacks and the libraries' own warnings through."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonLines() if as_json else text)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("anontrace").setLevel(logging.DEBUG if debug else logging.INFO)
    logging.getLogger("uvicorn.access").disabled = True
    if not debug:  # it would log the text of an exception, which may quote a request
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        # asyncio quotes transports, and with them who is at the other end
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
