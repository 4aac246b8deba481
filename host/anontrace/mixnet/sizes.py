"""Every length of the packet format, stated once (docs/protocol.md sections 6 and 7). Numbers only."""

KEY = 32  # X25519 scalars, public keys, hop seeds
KEY_SELECT = 1
MIX_NUMBER = 1
TAG = 16
HOP = KEY_SELECT + MIX_NUMBER + TAG  # what one relay hop takes of the routing
MAILBOX = 32
SPARE = 4
FINAL = KEY_SELECT + MIX_NUMBER + MAILBOX + SPARE  # what the last hop takes of the routing

MOST_HOPS = 4
MOST_MIXES = 255
ROUTING = FINAL + (MOST_HOPS - 1) * HOP
ADDRESS = TAG + ROUTING
PAD = ROUTING + HOP
HEADER = KEY_SELECT + KEY + ADDRESS

LIONESS_KEYS = 4 * 32
STREAM = KEY + PAD + KEY + LIONESS_KEYS  # tag key, pad, blinding scalar, LIONESS keys

SURB = MIX_NUMBER + HEADER + KEY
BLOB = SURB
NYM_KEY = 32
AUTHENTICATION = 32
PAYLOAD = NYM_KEY + AUTHENTICATION + BLOB + 1
MESSAGE = HEADER + PAYLOAD

CONTACT_ADDRESS = 20
CASE_ID = 16
REPORT_ID = 8
CHAIN_TOKEN = 96
DISEASE = 8
SEAL_OVERHEAD = 48  # HPKE: encapsulation and tag
NOTIFICATION = PAYLOAD - SEAL_OVERHEAD
NOTE = NOTIFICATION - (1 + CASE_ID + REPORT_ID + CHAIN_TOKEN + DISEASE + 1 + 1 + 2)
