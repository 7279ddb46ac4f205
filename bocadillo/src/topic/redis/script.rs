//! The scripts that Redis runs. Each script is atomic.

use std::sync::LazyLock;

use redis::Script;

/// The functions that the scripts share.
const COMMON: &str = r"
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The epoch of all nodes, and the id of its entry. The first script creates it.
local function epoch(key, candidate)
  local newest = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if newest then
    return newest[2][2], newest[1]
  end
  return candidate, redis.call('XADD', key, '*', 'epoch', candidate)
end

-- The position for all topics without an own one. It differs from all earlier ones by its time or, if the
-- earlier one is not known, by a random number.
local function raise_floor(positions, candidate)
  local old = redis.call('HGET', positions, '')
  local now, minor = clock(), string.sub(candidate, -9)
  local before = old and tonumber(string.match(old, '^%d+')) or 0
  local floor = string.format('%.0f-%.0f', math.max(now, before + 1), tonumber(minor))
  redis.call('HSET', positions, '', floor)
  return floor
end

-- The position of the last event of a topic, or the floor: no event of the topic came after the floor was made.
local function place(positions, name, candidate)
  local found = redis.call('HMGET', positions, '', name)
  local floor = found[1] or raise_floor(positions, candidate)
  return found[2] or floor
end

local function field(entry, name)
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
end

-- A number that this script wrote. Other programs may have written anything.
local function total(entry)
  local text = field(entry, 'total')
  return text and #text <= 15 and string.find(text, '^%d+$') and tonumber(text)
end

-- The bytes of all events of the topic so far.
local function newest_total(key)
  for _, count in ipairs({1, 100}) do
    for _, entry in ipairs(redis.call('XREVRANGE', key, '+', '-', 'COUNT', count)) do
      local found = total(entry)
      if found then return found end
    end
  end
  return 0
end

-- Whether an entry is outside of the history, and how many milliseconds and bytes ago it was added.
local function beyond(entry, length, newest, now, events, bytes, age)
  local since = now - tonumber(string.match(entry[1], '^%d+'))
  local own = total(entry) or newest
  local behind = newest - own
  local size = #(field(entry, 'event') or '')
  return length > events or behind + size > bytes or (age >= 0 and since >= age), since, behind
end
";

/// `KEYS`: epoch, positions, topic. `ARGV`: candidate for the epoch; the topic's name; history: events, bytes, milliseconds; how long
/// the key lives; how long and how many bytes are kept for delivery; how many topics are remembered; then each event, and its key
/// behind `=` or nothing.
/// Returns the epoch and the events' ids.
pub(super) static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local positions, topic, name = KEYS[2], KEYS[3], ARGV[2]
local events, bytes, age = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local keep, grace, slack, most = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local newest = newest_total(topic)
local previous = place(positions, name, ARGV[1])
local now = clock()

-- An id has to be higher than the last id of the topic, also if the key is new and the clock stands still or went back.
local function add(...)
  local major, minor = string.match(previous, '^(%d+)-(%d+)$')
  local id = string.format('%.0f-*', now)
  if now <= tonumber(major) then id = string.format('%s-%.0f', major, tonumber(minor) + 1) end
  local added = redis.pcall('XADD', topic, id, ...)
  if type(added) == 'string' then return added end
  -- Another program has added a higher id.
  return redis.call('XADD', topic, '*', ...)
end

local ids = {}
for i = 10, #ARGV, 2 do
  newest = newest + #ARGV[i]
  local sum = string.format('%.0f', newest)
  if ARGV[i + 1] == '' then
    previous = add('event', ARGV[i], 'total', sum, 'prev', previous)
  else
    previous = add('event', ARGV[i], 'total', sum, 'prev', previous, 'key', string.sub(ARGV[i + 1], 2))
  end
  ids[#ids + 1] = previous
end
if redis.call('HSET', positions, name, previous) == 1 and redis.call('HLEN', positions) > most + 1 then
  -- The oldest of a sample are removed. The new floor tells clients of these topics that they may have missed events.
  local sample, all = redis.call('HRANDFIELD', positions, 64, 'WITHVALUES'), {}
  for i = 1, #sample, 2 do
    if sample[i] ~= '' and sample[i] ~= name then
      all[#all + 1] = {sample[i], tonumber(string.match(sample[i + 1], '^%d+'))}
    end
  end
  table.sort(all, function(a, b) return a[2] < b[2] end)
  for i = 1, math.min(#all, 32) do redis.call('HDEL', positions, all[i][1]) end
  raise_floor(positions, ARGV[1])
end
local length, from, cut = redis.call('XLEN', topic), '-', nil
now = clock()
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

/// `KEYS`: epoch, positions, then topics. `ARGV`: candidate for the epoch; then for each topic its name, the last event that was read, or
/// nothing, and the last entry that was read.
/// Returns the epoch, the id of its entry, and for each topic its last position; where that is another than the one that was read: whether there are
/// later entries, and what the first of them says was before it. One text alone is an error.
pub(super) static STATUS: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local statuses = {}
local floor = place(KEYS[2], '', ARGV[1])
for i = 3, #KEYS do
  local key, at = KEYS[i], 3 * (i - 3) + 2
  local name, last_event, from = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'stream' and kind ~= 'none' then
    statuses[#statuses + 1] = {'the key holds a ' .. kind .. ', not a stream'}
  else
    local last = redis.call('HGET', KEYS[2], name) or floor
    if last_event == '' or last_event == last then
      statuses[#statuses + 1] = {last, 0, ''}
    else
      local later = redis.call('XRANGE', key, '(' .. from, '+', 'COUNT', 1)[1]
      statuses[#statuses + 1] = {last, later and 1 or 0, later and field(later, 'prev') or ''}
    end
  end
end
local number, id = epoch(KEYS[1], ARGV[1])
return {number, id, statuses}
",
    )
});

/// `KEYS`: epoch, positions, topic. `ARGV`: candidate for the epoch; the topic's name; the entry to go on behind, or nothing for the
/// start of the history; history: events, bytes, milliseconds; how many bytes are wanted.
/// Returns the epoch, the topic's last position, whether there are no later entries than these, and entries.
///
/// It reads few entries at a time, so that Redis does not copy large entries that do not fit into the answer.
pub(super) static PAGE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local topic, name, after = KEYS[3], ARGV[2], ARGV[3]
local events, bytes, age, wanted = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local now, last = clock(), place(KEYS[2], name, ARGV[1])
local length, newest, skips = 0, 0, after == ''
if skips then length, newest = redis.call('XLEN', topic), newest_total(topic) end
local from, got, largest, entries = skips and '-' or '(' .. after, 0, wanted, {}
local is_end
repeat
  local count = math.max(1, math.min(32, math.floor((wanted - got) / largest)))
  local batch = redis.call('XRANGE', topic, from, '+', 'COUNT', count)
  is_end, largest = #batch == 0, 1
  for _, entry in ipairs(batch) do
    skips = skips and beyond(entry, length, newest, now, events, bytes, age)
    length = length - 1
    local size = 64
    for _, text in ipairs(entry[2]) do size = size + #text end
    largest = math.max(largest, size)
    if not skips then
      entries[#entries + 1] = entry
      got = got + size
    end
    from = '(' .. entry[1]
    if got >= wanted then break end
  end
until is_end or got >= wanted
return {(epoch(KEYS[1], ARGV[1])), last, is_end and 1 or 0, entries}
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
