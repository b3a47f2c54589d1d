/**
 * What Redis runs for the broker: each script is one step that nothing can interrupt. They know keys and bytes, never
 * what a publication means. Redis and Valkey 6.2 and newer.
 *
 * A topic's place is one string, "epoch offset run base": the run is the Redis process that took the last publication,
 * and base the offset that this process found when it took its first. A Redis that comes back with older data than it
 * had acknowledged (a crash before the disk had it, a replica that took over) counts on from a smaller offset. Whoever
 * saw a larger one than base in an earlier run knows that offsets are being used twice, and demands a new epoch. (After
 * two such crashes with publications between, all while a node was cut off, that node no longer knows.)
 *
 * The place is written before anything else: a Redis without memory refuses a script's first write, and only that.
 */
import { createHash } from "node:crypto";

export interface Script {
  readonly source: string;
  readonly sha: string;
}

function script(source: string): Script {
  return { source, sha: createHash("sha1").update(source).digest("hex") };
}

const READ_PLACE = `
local function read(key)
  local place = redis.call('GET', key)
  if not place then return nil end
  local epoch, offset, run, base = string.match(place, '^(%S+) (%d+) (%S+) (%d+)$')
  return epoch, tonumber(offset), run, tonumber(base)
end
local function write(key, epoch, offset, run, base, seconds)
  redis.call('SET', key, string.format('%s %.0f %s %.0f', epoch, offset, run, base), 'EX', seconds)
end
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
`;

/**
 * Gives a publication its place, keeps it, and brings it to the subscribers.
 * KEYS: place, history. ARGV: PUBLISH or SPUBLISH, channel, data, an epoch in case there is none, the run, seconds that
 * the place lives, messages kept, seconds they are kept, and a channel for PUBLISH too or nothing. Answers: epoch, offset.
 */
export const publishScript = script(`${READ_PLACE}
local command, channel, data, candidate, run = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local messages, seconds = tonumber(ARGV[7]), tonumber(ARGV[8])
local epoch, offset, lastRun, base = read(KEYS[1])
local isNew = not epoch
if isNew then
  epoch, offset, base = candidate, 0, 0
elseif lastRun ~= run then
  base = offset
end
offset = offset + 1
write(KEYS[1], epoch, offset, run, base, ARGV[6])
if isNew then redis.call('DEL', KEYS[2]) end
if messages > 0 then
  local time = now()
  local kept = redis.call('RPUSH', KEYS[2], string.format('%.0f ', time) .. data)
  if kept > messages then redis.call('LTRIM', KEYS[2], -messages, -1) end
  redis.call('EXPIRE', KEYS[2], seconds)
  if offset % 16 == 0 then
    for _ = 1, 64 do
      local oldest = redis.call('LINDEX', KEYS[2], 0)
      if tonumber(string.match(oldest, '^%d+')) > time - seconds * 1000 then break end
      redis.call('LPOP', KEYS[2])
    end
  end
end
local message = string.format('%s %.0f ', epoch, offset) .. data
redis.call(command, channel, message)
if ARGV[9] ~= '' then redis.call('PUBLISH', ARGV[9], message) end
return { epoch, offset }
`);

/**
 * Where topics are; those that have no place get one. A place that contradicts what was delivered gets a new epoch.
 * KEYS: for each topic its place and its history. ARGV: an epoch in case one is needed, seconds that a place lives from
 * now on, the run; then for each topic the epoch and the offset of the last delivery and the run it was last compared
 * in, or three times "-". Answers: for each topic epoch, offset.
 */
export const placesScript = script(`${READ_PLACE}
local candidate, run = ARGV[1], ARGV[3]
local answer = {}
for topic = 1, #KEYS / 2 do
  local key, history = KEYS[topic * 2 - 1], KEYS[topic * 2]
  local epoch, offset, lastRun, base = read(key)
  local known, delivered, knownRun = ARGV[topic * 3 + 1], tonumber(ARGV[topic * 3 + 2]), ARGV[topic * 3 + 3]
  local contradicts = epoch and known == epoch and
    (offset < delivered or (lastRun == run and knownRun ~= run and base < delivered))
  if not epoch or contradicts then
    epoch, offset = candidate, 0
    write(key, epoch, 0, run, 0, ARGV[2])
    redis.call('DEL', history)
  else
    redis.call('EXPIRE', key, ARGV[2])
  end
  answer[topic * 2 - 1] = epoch
  answer[topic * 2] = offset
end
return answer
`);

/**
 * Reads a part of a history; a topic without a place gets one. KEYS: place, history. ARGV: epoch and offset after which,
 * or two times "-" for the newest; how many; seconds they are kept; an epoch in case one is needed, seconds that a place
 * lives, the run. Answers: epoch, offset, the offset of the first entry, and the entries.
 */
export const historyScript = script(`${READ_PLACE}
local epoch, offset = read(KEYS[1])
if not epoch then
  epoch, offset = ARGV[5], 0
  write(KEYS[1], epoch, 0, ARGV[7], 0, ARGV[6])
  redis.call('DEL', KEYS[2])
end
local since, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = redis.call('LLEN', KEYS[2])
local first = offset - kept + 1
if kept > 0 then
  local oldest = now() - tonumber(ARGV[4]) * 1000
  local low, high = 0, kept
  while low < high do
    local middle = math.floor((low + high) / 2)
    local entry = redis.call('LINDEX', KEYS[2], middle)
    if tonumber(string.match(entry, '^%d+')) <= oldest then low = middle + 1 else high = middle end
  end
  first = first + low
end
local from = math.max(first, offset - limit + 1)
if since then
  local after = (ARGV[1] == epoch and since <= offset) and since or 0
  from = math.max(first, after + 1)
end
local index = from - (offset - kept + 1)
local entries = {}
if limit > 0 and index < kept then entries = redis.call('LRANGE', KEYS[2], index, index + limit - 1) end
return { epoch, offset, from, entries }
`);

const PRESENCE = `
local function time()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local function remove(session)
  local member = redis.call('HGET', KEYS[2], session)
  redis.call('ZREM', KEYS[1], session)
  if not member then return end
  redis.call('HDEL', KEYS[2], session)
  local key = string.match(member, '^(.-)\\n')
  if redis.call('HINCRBY', KEYS[3], key, -1) <= 0 then
    redis.call('HDEL', KEYS[3], key)
    redis.call(ARGV[1], ARGV[2], 'left\\n' .. member)
  end
end
local function sweep(now)
  local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1000)
  for _, session in ipairs(expired) do remove(session) end
end
`;

/**
 * Adds sessions, or says that they are still there, and removes those whose time has run out; the `joined` and `left` of
 * members are published. KEYS: deadlines (by session), members (by session), counts (by member).
 * ARGV: PUBLISH or SPUBLISH, channel, milliseconds to live, whether to answer all members (1 or 0), then pairs of
 * session and member ("key LF session").
 */
export const joinScript = script(`${PRESENCE}
local lifetime = tonumber(ARGV[3])
local now = time()
for index = 5, #ARGV, 2 do
  local session, member = ARGV[index], ARGV[index + 1]
  redis.call('ZADD', KEYS[1], now + lifetime, session)
  if redis.call('HSETNX', KEYS[2], session, member) == 1 then
    if redis.call('HINCRBY', KEYS[3], string.match(member, '^(.-)\\n'), 1) == 1 then
      redis.call(ARGV[1], ARGV[2], 'joined\\n' .. member)
    end
  end
end
sweep(now)
if #ARGV > 4 then
  for index = 1, 3 do redis.call('PEXPIRE', KEYS[index], lifetime * 2) end
end
if ARGV[4] == '1' then return redis.call('HVALS', KEYS[2]) end
return {}
`);

/** Removes sessions. KEYS as above. ARGV: PUBLISH or SPUBLISH, channel, then sessions. */
export const leaveScript = script(`${PRESENCE}
for index = 3, #ARGV do remove(ARGV[index]) end
return 0
`);

export const scripts: readonly Script[] = [
  publishScript,
  placesScript,
  historyScript,
  joinScript,
  leaveScript,
];
