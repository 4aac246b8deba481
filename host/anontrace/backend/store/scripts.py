"""The Lua scripts of the cluster store: each is one atomic step on one shard. Wire format between cluster.py and Redis.

KEYS[1] is the shard's base name; every name that a script makes begins with it, so all lie in one hash slot:

    BASE:tables              set of the tables that have something that expires
    BASE:days:TABLE          sorted set of the table's expiry days ("" where nothing expires)
    BASE:rows:TABLE@DAY:PART hash of keys and values; one is dropped whole when its day is over
    BASE:queues              set of the queues that hold something
    BASE:due:QUEUE           sorted set of entry ids by due time; BASE:items:QUEUE: hash of ids and items
    BASE:layout              hash of what was settled once: shards; in shard 0 also buckets, the note of a move

Numbers travel as text that the client wrote: Lua would round them. A queue entry is written before the value that goes
with it: should Redis break a script off in between (a slot on the move), a message comes twice, but is never lost.
"""

from dataclasses import dataclass, field
from hashlib import sha1

_TABLES = """
local base = KEYS[1]
local function rows(tab, day, part) return base .. ':rows:' .. tab .. '@' .. day .. ':' .. part end
local function days(tab) return redis.call('ZREVRANGE', base .. ':days:' .. tab, 0, -1) end
local function find(tab, all, part, key)
  for _, day in ipairs(all) do
    local value = redis.call('HGET', rows(tab, day, part), key)
    if value then return value, day end
  end
  return false, false
end
local function put(tab, all, part, key, value, expires, day)
  if not day then
    day = expires
    local known = false
    for _, each in ipairs(all) do known = known or each == day end
    if not known then
      redis.call('ZADD', base .. ':days:' .. tab, day == '' and '-1' or day, day)
      if day ~= '' then redis.call('SADD', base .. ':tables', tab) end
      table.insert(all, day)
    end
  end
  redis.call('HSET', rows(tab, day, part), key, value)
end
"""

_QUEUES = """
local function enter(queue, due, id, item)
  redis.call('SADD', base .. ':queues', queue)
  redis.call('HSET', base .. ':items:' .. queue, id, item)
  redis.call('ZADD', base .. ':due:' .. queue, due, id)
end
"""


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the name under which a node that has seen it knows it."""

    text: str = field(repr=False)
    sha: str

    @classmethod
    def of(cls, *parts: str) -> "Script":
        text = "".join(parts)
        return cls(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


# table, then (part, number of keys, keys) each -> the values, nil for absent ones. One call for each day and 1000 keys:
# most of what is asked for is absent, and so is looked for in every day.
GET = Script.of(
    _TABLES,
    """
local tab, found = ARGV[1], {}
local all = days(tab)
local at = 2
while at <= #ARGV do
  local part, last = ARGV[at], at + 1 + ARGV[at + 1]
  at = at + 2
  while at <= last do
    local keys, places = {}, {}
    for i = at, math.min(at + 999, last) do
      found[#found + 1] = false
      keys[#keys + 1], places[#places + 1] = ARGV[i], #found
    end
    at = at + #keys
    for _, day in ipairs(all) do
      if #keys == 0 then break end
      local values, some = redis.call('HMGET', rows(tab, day, part), unpack(keys)), false
      for i = 1, #keys do
        if values[i] then found[places[i]], some = values[i], true end
      end
      if some then
        local rest, where = {}, {}
        for i = 1, #keys do
          if not values[i] then rest[#rest + 1], where[#where + 1] = keys[i], places[i] end
        end
        keys, places = rest, where
      end
    end
  end
end
return found
""",
)

# table, day, then (part, key, value) each
PUT = Script.of(
    _TABLES,
    """
local tab, expires = ARGV[1], ARGV[2]
local all = days(tab)
for i = 3, #ARGV, 3 do
  local _, day = find(tab, all, ARGV[i], ARGV[i + 1])
  put(tab, all, ARGV[i], ARGV[i + 1], ARGV[i + 2], expires, day)
end
return 1
""",
)

# table, day, then (part, key, value, queue or "", due, id, item) each -> 1 where it was stored
PUT_IF_ABSENT = Script.of(
    _TABLES,
    _QUEUES,
    """
local tab, expires, stored = ARGV[1], ARGV[2], {}
local all = days(tab)
for i = 3, #ARGV, 7 do
  local absent = not find(tab, all, ARGV[i], ARGV[i + 1])
  if absent then
    if ARGV[i + 3] ~= '' then enter(ARGV[i + 3], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6]) end
    put(tab, all, ARGV[i], ARGV[i + 1], ARGV[i + 2], expires, false)
  end
  stored[#stored + 1] = absent and 1 or 0
end
return stored
""",
)

# table, day, part, key, "1" and the expected value or "0" and nothing, the same for the new one, then (queue, due, id,
# item) each -> 1 if it was swapped
COMPARE_AND_SWAP = Script.of(
    _TABLES,
    _QUEUES,
    """
local tab, expires, part, key = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local all = days(tab)
local value, day = find(tab, all, part, key)
if ARGV[5] == '1' then
  if value ~= ARGV[6] then return 0 end
elseif value then
  return 0
end
for i = 9, #ARGV, 4 do enter(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) end
if ARGV[7] == '1' then
  put(tab, all, part, key, ARGV[8], expires, day)
elseif day then
  redis.call('HDEL', rows(tab, day, part), key)
end
return 1
""",
)

# table, then (part, key) each
DELETE = Script.of(
    _TABLES,
    """
local tab = ARGV[1]
local all = days(tab)
for i = 2, #ARGV, 2 do
  for _, day in ipairs(all) do redis.call('HDEL', rows(tab, day, ARGV[i]), ARGV[i + 1]) end
end
return 1
""",
)

# table, day, limit, then (part, key, element) each -> 1 where the list holds it. Lists are made as in elements.py.
APPEND = Script.of(
    _TABLES,
    """
local tab, expires, limit, kept = ARGV[1], ARGV[2], tonumber(ARGV[3]), {}
local all = days(tab)
for i = 4, #ARGV, 3 do
  local list, day = find(tab, all, ARGV[i], ARGV[i + 1])
  list = list or ''
  local element, count, known, at = ARGV[i + 2], 0, false, 1
  while at <= #list do
    local a, b, c, d = string.byte(list, at, at + 3)
    local length = a + b * 256 + c * 65536 + d * 16777216
    known = known or (length == #element and string.sub(list, at + 4, at + 3 + length) == element)
    count, at = count + 1, at + 4 + length
  end
  if not known and count < limit then
    local n = #element
    local head = string.char(n % 256, math.floor(n / 256) % 256, math.floor(n / 65536) % 256, math.floor(n / 16777216))
    put(tab, all, ARGV[i], ARGV[i + 1], list .. head .. element, expires, day)
    known = true
  end
  kept[#kept + 1] = known and 1 or 0
end
return kept
""",
)

# table, part -> key, value, key, value ...
ROWS = Script.of(
    _TABLES,
    """
local found = {}
for _, day in ipairs(days(ARGV[1])) do
  for _, each in ipairs(redis.call('HGETALL', rows(ARGV[1], day, ARGV[2]))) do found[#found + 1] = each end
end
return found
""",
)

# first day to keep, this shard, number of shards, then (table, its parts) each for tables of more than one part
# -> the days of tables that went. Dropping a hash costs its client nothing, whatever it holds.
EXPIRE = Script.of(
    _TABLES,
    """
local shard, shards, parts, gone = tonumber(ARGV[2]), tonumber(ARGV[3]), {}, {}
for i = 4, #ARGV, 2 do parts[ARGV[i]] = tonumber(ARGV[i + 1]) end
for _, tab in ipairs(redis.call('SMEMBERS', base .. ':tables')) do
  for _, day in ipairs(redis.call('ZRANGEBYSCORE', base .. ':days:' .. tab, '0', '(' .. ARGV[1])) do
    if parts[tab] then
      for part = shard, parts[tab] - 1, shards do redis.call('UNLINK', rows(tab, day, string.format('%d', part))) end
    else
      redis.call('UNLINK', rows(tab, day, '0'))
    end
    redis.call('ZREM', base .. ':days:' .. tab, day)
    gone[#gone + 1] = tab .. '@' .. day
  end
  if redis.call('EXISTS', base .. ':days:' .. tab) == 0 then redis.call('SREM', base .. ':tables', tab) end
end
return gone
""",
)

# (queue, due, id, item) each
ENQUEUE = Script.of(
    "local base = KEYS[1]",
    _QUEUES,
    """
for i = 1, #ARGV, 4 do enter(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) end
return 1
""",
)

# queue, last place -> the ids and due times up to it, in order
PEEK = Script.of("return redis.call('ZRANGE', KEYS[1] .. ':due:' .. ARGV[1], 0, ARGV[2], 'WITHSCORES')")

# queue, end of the lease, then (id, due time) each -> the items; nil where somebody else was faster
LEASE = Script.of(
    """
local due, items, found = KEYS[1] .. ':due:' .. ARGV[1], KEYS[1] .. ':items:' .. ARGV[1], {}
for i = 3, #ARGV, 2 do
  local when = redis.call('ZSCORE', due, ARGV[i])
  local item = false
  if when and tonumber(when) == tonumber(ARGV[i + 1]) then
    item = redis.call('HGET', items, ARGV[i])
    redis.call('ZADD', due, ARGV[2], ARGV[i])
  end
  found[#found + 1] = item
end
return found
"""
)

# queue, time, number -> some ids that are due after it
LATE = Script.of(
    "return redis.call('ZRANGEBYSCORE', KEYS[1] .. ':due:' .. ARGV[1], '(' .. ARGV[2], '+inf', 'LIMIT', 0, ARGV[3])"
)

# queue, due, ids
AGAIN = Script.of(
    """
local due = KEYS[1] .. ':due:' .. ARGV[1]
for i = 3, #ARGV do
  if redis.call('ZSCORE', due, ARGV[i]) then redis.call('ZADD', due, ARGV[2], ARGV[i]) end
end
return 1
"""
)

# queue, ids -> how many there were
DONE = Script.of(
    """
local due, items, gone = KEYS[1] .. ':due:' .. ARGV[1], KEYS[1] .. ':items:' .. ARGV[1], 0
for i = 2, #ARGV do
  gone = gone + redis.call('ZREM', due, ARGV[i])
  redis.call('HDEL', items, ARGV[i])
end
if redis.call('EXISTS', due) == 0 then redis.call('SREM', KEYS[1] .. ':queues', ARGV[1]) end
return gone
"""
)

# -> queue, length, queue, length ...
BACKLOG = Script.of(
    """
local found = {}
for _, queue in ipairs(redis.call('SMEMBERS', KEYS[1] .. ':queues')) do
  found[#found + 1] = queue
  found[#found + 1] = redis.call('ZCARD', KEYS[1] .. ':due:' .. queue)
end
return found
"""
)

# -- for moves, which find the rows as they are ------------------------------------------------------------------------

# table, this shard, number of shards, the table's parts -> day, rows, day, rows ...
COUNTS = Script.of(
    _TABLES,
    """
local tab, found = ARGV[1], {}
for _, day in ipairs(days(tab)) do
  local number = 0
  for part = tonumber(ARGV[2]), ARGV[4] - 1, tonumber(ARGV[3]) do
    number = number + redis.call('HLEN', rows(tab, day, string.format('%d', part)))
  end
  found[#found + 1], found[#found + 2] = day, number
end
return found
""",
)

# table, day, part and cursor to begin at, number of shards, the table's parts, rows and bytes to end at
# -> part and cursor to go on at ("" for none), key, value, key, value ...
PAGE = Script.of(
    _TABLES,
    """
local found, size = {'', '0'}, 0
local part, cursor = tonumber(ARGV[3]), ARGV[4]
while part < tonumber(ARGV[6]) do
  local scanned = redis.call('HSCAN', rows(ARGV[1], ARGV[2], string.format('%d', part)), cursor, 'COUNT', 100)
  for _, each in ipairs(scanned[2]) do
    found[#found + 1], size = each, size + #each
  end
  cursor = scanned[1]
  if cursor == '0' then part = part + ARGV[5] end
  if #found > 2 * ARGV[7] or size > tonumber(ARGV[8]) then
    if part < tonumber(ARGV[6]) then found[1], found[2] = string.format('%d', part), cursor end
    break
  end
end
return found
""",
)

# table, day, then (part, number of keys, keys) each -> the values in this day, nil for absent ones
HELD = Script.of(
    _TABLES,
    """
local found, at = {}, 3
while at <= #ARGV do
  local last = at + 1 + ARGV[at + 1]
  for i = at + 2, last do found[#found + 1] = redis.call('HGET', rows(ARGV[1], ARGV[2], ARGV[at]), ARGV[i]) end
  at = last + 1
end
return found
""",
)

# table, day, then (part, key, value) each, which no other day may hold
LOAD = Script.of(
    _TABLES,
    """
local all = days(ARGV[1])
for i = 3, #ARGV, 3 do put(ARGV[1], all, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[2], false) end
return 1
""",
)

# queue, first and last place -> id, due time, item, id, due time, item ...
QUEUED = Script.of(
    """
local found, items = {}, KEYS[1] .. ':items:' .. ARGV[1]
local heads = redis.call('ZRANGE', KEYS[1] .. ':due:' .. ARGV[1], ARGV[2], ARGV[3], 'WITHSCORES')
for i = 1, #heads, 2 do
  found[#found + 1], found[#found + 2] = heads[i], heads[i + 1]
  found[#found + 1] = redis.call('HGET', items, heads[i])
end
return found
"""
)

# queue, ids -> due time, item, due time, item ...; nil for absent ones
ENTERED = Script.of(
    """
local found = {}
for i = 2, #ARGV do
  found[#found + 1] = redis.call('ZSCORE', KEYS[1] .. ':due:' .. ARGV[1], ARGV[i])
  found[#found + 1] = redis.call('HGET', KEYS[1] .. ':items:' .. ARGV[1], ARGV[i])
end
return found
"""
)

# names -> nothing is kept under them
FORGET = Script.of(
    """
for _, name in ipairs(ARGV) do
  assert(string.sub(name, 1, #KEYS[1]) == KEYS[1])
  redis.call('UNLINK', name)
end
return 1
"""
)

# name, value
WRITE_DOWN = Script.of("return redis.call('HSET', KEYS[1] .. ':layout', ARGV[1], ARGV[2])")

# -- layout ------------------------------------------------------------------------------------------------------------

# name -> the value that holds, nil if none was given
SETTLED = Script.of("return redis.call('HGET', KEYS[1] .. ':layout', ARGV[1])")

# name, value -> the value that holds: the first that was ever given for this name
SETTLE = Script.of(
    """
redis.call('HSETNX', KEYS[1] .. ':layout', ARGV[1], ARGV[2])
return redis.call('HGET', KEYS[1] .. ':layout', ARGV[1])
"""
)
