"""What companions ask of the authority (docs/protocol.md section 8). What staff ask: staff_routes.py."""

from fastapi import APIRouter, Request, Response

from anontrace.backend.errors import Refused
from anontrace.backend.web import gone
from anontrace.backend.web.app import octets
from anontrace.backend.web.describing import gives_octets, takes_octets
from anontrace.backend.web.http import OCTETS
from anontrace.backend.web.moments import Moments
from anontrace.backend.web.throttle import Throttle
from anontrace.wire import result
from anontrace.wire.result import Answer, Question, Reason, State

from .tokens import Tokens

_UNKNOWN = 404


def router(tokens: Tokens, throttle: Throttle, moments: Moments) -> APIRouter:
    """What everybody may ask of the authority. `moments`: when it answers, whatever the answer is."""
    routes = APIRouter(tags=["health authority"])

    @routes.post(
        "/v2/result",
        response_class=Response,
        responses=gives_octets(f"How the test stands, {result.ANSWER} bytes whatever it is."),
        openapi_extra=takes_octets(
            f"Hashes of a token and of a log, 32 bytes each, or zeros: {result.QUESTION} bytes."
        ),
    )
    async def ask_for_a_result(request: Request) -> Response:
        """How a test stands; for a positive one, a permit to upload one log."""
        asked = Question.parse(await octets(request, at_least=result.QUESTION, at_most=result.QUESTION, unit=1))
        sender = request.client.host if request.client else ""
        answer = await moments.answer(_answered(tokens, throttle, sender, asked))
        return Response(answer.encode(), media_type=OCTETS)

    gone.add(routes, ("/v1/redeem",))
    return routes


async def _answered(tokens: Tokens, throttle: Throttle, sender: str, asked: Question) -> Answer:
    """The answer; Refused (429) where this sender has guessed too often. So is a question without a token: whoever
    guesses by the same connection would see by the answer which questions have one."""
    try:
        with throttle.trying(sender):
            answer = await tokens.answer(asked)
            if answer.reason is Reason.UNKNOWN:
                raise Refused(_UNKNOWN, "there is no such token")
            return answer
    except Refused as refused:
        if refused.status != _UNKNOWN:
            raise
        return Answer(State.REFUSED, reason=Reason.UNKNOWN)
