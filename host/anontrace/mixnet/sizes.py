"""Every length of the packet format, stated once (docs/protocol.md sections 6 and 7). Numbers only."""

KEY = 32  # X25519 scalars, public keys, hop seeds
KEY_SELECT = 1
MIX_NUMBER = 1
TAG = 16
HOP = KEY_SELECT + MIX_NUMBER + TAG  # what one relay hop takes of the routing
MAILBOX = 32
GROUP = 16  # of a mailbox address: what mailboxes of one owner and day have in common
BOX = 4  # of its other half: what tells the messages of one group apart
SPARE = 4  # its first byte is the version of the mailbox address
FINAL = KEY_SELECT + MIX_NUMBER + MAILBOX + SPARE  # what the last hop takes of the routing

MAX_HOPS = 4
MAX_MIXES = 255
ROUTING = FINAL + (MAX_HOPS - 1) * HOP
ADDRESS = TAG + ROUTING
PAD = ROUTING + HOP
HEADER = KEY_SELECT + KEY + ADDRESS

LIONESS_KEYS = 4 * 32
STREAM = KEY + PAD + KEY + LIONESS_KEYS  # tag key, pad, blinding scalar, LIONESS keys

SURB = MIX_NUMBER + HEADER + KEY
BLOB = SURB
NYM_KEY = 32
AUTHENTICATION = 32
KIND = 1  # the last byte of a payload for a nymserver
PAYLOAD = NYM_KEY + AUTHENTICATION + BLOB + KIND
MESSAGE = HEADER + PAYLOAD

FINGERPRINT = 8
UPLOAD_ID = 16
FRAGMENT_NUMBER = 4
FRAGMENT_DATA = PAYLOAD - UPLOAD_ID - FRAGMENT_NUMBER - KIND
SUBJECT = 1
QUESTION = NYM_KEY + FINGERPRINT
RECEIPT_PADDING = PAYLOAD - SUBJECT - QUESTION - SURB - KIND  # a reply block is laid out like a SURB
RELAY_PADDING = PAYLOAD - SURB - KIND
ANSWER_OVERHEAD = 16  # the tag of ChaCha20-Poly1305
ANSWER = PAYLOAD - ANSWER_OVERHEAD

CONTACT_ADDRESS = 20
CASE_ID = 16
REPORT_ID = 8
CHAIN_TOKEN = 96
DISEASE = 8
SEAL_OVERHEAD = 48  # HPKE: encapsulation and tag
NOTIFICATION = PAYLOAD - SEAL_OVERHEAD
WORDS_OVERHEAD = 16  # the synthetic IV of AES-SIV
NOTE = NOTIFICATION - (1 + CASE_ID + REPORT_ID + CHAIN_TOKEN + DISEASE + 1 + 1 + 2)
WORDS = NOTE - WORDS_OVERHEAD
MOST_PARTS = 12  # of a text that is longer; their number, a part's first byte, begins no text
PART_PLACE = 2
PART_VALUE = WORDS - 1 - PART_PLACE
PART_CHUNK = PART_VALUE - 1  # bytes of the text in each of the numbers that are below the prime

TOLD_TAG = 8
PHONE = 8  # 16 half bytes: digits, and a plus sign before them
NEARNESS = 4  # a class of minutes for each of the report's bins
ANSWER_NOTE = 24
SEALED_OVERHEAD = KEY + WORDS_OVERHEAD
CONTACT_ANSWER = PAYLOAD - KIND - TOLD_TAG - SEALED_OVERHEAD
LETTER = PAYLOAD - WORDS_OVERHEAD
