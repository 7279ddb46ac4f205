//! What Redis itself runs, each script at one go: nothing of another node comes in between.

use std::sync::LazyLock;

use redis::Script;

/// What the others are made of.
const COMMON: &str = r"
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The epoch that all nodes see, and the id of its entry. Whoever comes first makes it.
local function epoch(key, candidate)
  local newest = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if newest then
    return newest[2][2], newest[1]
  end
  return candidate, redis.call('XADD', key, '*', 'epoch', candidate)
end

local function field(entry, name)
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
end

-- A number that this script wrote: what another program wrote may be anything.
local function total(entry)
  local text = field(entry, 'total')
  return text and #text <= 15 and string.find(text, '^%d+$') and tonumber(text)
end

-- How many bytes the topic has had so far.
local function newest_total(key)
  for _, count in ipairs({1, 100}) do
    for _, entry in ipairs(redis.call('XREVRANGE', key, '+', '-', 'COUNT', count)) do
      local found = total(entry)
      if found then return found end
    end
  end
  return 0
end

-- Whether an entry is beyond the history, and how many milliseconds and bytes ago it came.
local function beyond(entry, length, newest, now, events, bytes, age)
  local since = now - tonumber(string.match(entry[1], '^%d+'))
  local own = total(entry) or newest
  local behind = newest - own
  local size = #(field(entry, 'event') or '')
  return length > events or behind + size > bytes or (age >= 0 and since >= age), since, behind
end

-- Where a stream stands: nothing where there is none; its last id, its first entry's, whether entries have gone, the last one that was
-- deleted by name, and whether it has the entry with an id.
local function stand(key, id)
  if redis.call('EXISTS', key) == 0 then return {} end
  local info = redis.pcall('XINFO', 'STREAM', key)
  if info.err then return {info.err} end
  local is = {}
  for i = 1, #info, 2 do is[info[i]] = info[i + 1] end
  local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
  local added = is['entries-added']
  local has = id ~= '' and #redis.call('XRANGE', key, id, id) or 0
  return {
    is['last-generated-id'], first and first[1] or '', (added and added == is['length']) and 0 or 1,
    is['max-deleted-entry-id'] or '0-0', has
  }
end
";

/// `KEYS`: epoch, topic. `ARGV`: candidate for the epoch; history: events, bytes, milliseconds; how long the key lives;
/// how long and how many bytes are kept for delivery; then each event, and its key behind `=` or nothing.
/// Returns the epoch and the events' ids.
pub(super) static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local topic = KEYS[2]
local events, bytes, age = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local keep, grace, slack = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local newest = newest_total(topic)
local ids = {}
for i = 8, #ARGV, 2 do
  newest = newest + #ARGV[i]
  local sum = string.format('%.0f', newest)
  if ARGV[i + 1] == '' then
    ids[#ids + 1] = redis.call('XADD', topic, '*', 'event', ARGV[i], 'total', sum)
  else
    ids[#ids + 1] = redis.call('XADD', topic, '*', 'event', ARGV[i], 'total', sum, 'key', string.sub(ARGV[i + 1], 2))
  end
end
local now, length, from, cut = clock(), redis.call('XLEN', topic), '-', nil
repeat
  local oldest = redis.call('XRANGE', topic, from, '+', 'COUNT', 4)
  for _, entry in ipairs(oldest) do
    local is_over, since, behind = beyond(entry, length, newest, now, events, bytes, age)
    if not is_over or (since < grace and behind <= slack) then
      cut = entry[1]
      break
    end
    length = length - 1
    from = '(' .. entry[1]
  end
until cut or #oldest == 0
if cut and from ~= '-' then redis.call('XTRIM', topic, 'MINID', '=', cut) end
if keep >= 0 then redis.call('PEXPIRE', topic, keep) else redis.call('PERSIST', topic) end
return {(epoch(KEYS[1], ARGV[1])), ids}
",
    )
});

/// `KEYS`: epoch, then topics. `ARGV`: candidate for the epoch, then an id for each topic or nothing.
/// Returns the epoch, the id of its entry, the time, and where each topic stands.
pub(super) static STAND: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local topics = {}
for i = 2, #KEYS do topics[i - 1] = stand(KEYS[i], ARGV[i]) end
local number, id = epoch(KEYS[1], ARGV[1])
return {number, id, clock(), topics}
",
    )
});

/// `KEYS`: epoch, topic. `ARGV`: candidate for the epoch; the id to go on behind, or nothing for the start of the history; history:
/// events, bytes, milliseconds; how many bytes are wanted.
/// Returns the epoch, the time, where the topic stands, and entries.
pub(super) static REPLAY: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local topic, after = KEYS[2], ARGV[2]
local events, bytes, age, wanted = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local now, here = clock(), stand(topic, after)
local entries = {}
if #here > 1 then
  local length, newest, skips = redis.call('XLEN', topic), newest_total(topic), after == ''
  local from, got = skips and '-' or '(' .. after, 0
  repeat
    local batch = redis.call('XRANGE', topic, from, '+', 'COUNT', 32)
    for _, entry in ipairs(batch) do
      skips = skips and beyond(entry, length, newest, now, events, bytes, age)
      length = length - 1
      if not skips and got < wanted then
        entries[#entries + 1] = entry
        got = got + #(field(entry, 'event') or '') + 64
      end
      from = '(' .. entry[1]
    end
  until #batch == 0 or got >= wanted
end
return {(epoch(KEYS[1], ARGV[1])), now, here, entries}
",
    )
});

/// `KEYS`: epoch. `ARGV`: candidate for the epoch, and the one that is over. Returns the epoch.
pub(super) static NEW_EPOCH: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
if epoch(KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('XADD', KEYS[1], 'MAXLEN', '=', 1, '*', 'epoch', ARGV[1])
end
return (epoch(KEYS[1], ARGV[1]))
",
    )
});

fn script(body: &str) -> Script {
    Script::new(&[COMMON, body].concat())
}
