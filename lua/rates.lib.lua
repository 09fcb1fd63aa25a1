-- Limits of a rate: a maximum number of events in any period of some seconds. Prosody's util.throttle is a token bucket: in some periods
-- it permits almost twice its limit.

local now = require "util.time".monotonic;

local fifo = module.import "queue";

local is_empty, pop, push = fifo.is_empty, fifo.pop, fifo.push;

-- Events are counted in entries { begun, time, count }; `time` is the time of an entry's newest event. Once there are this many
-- entries, a new entry begins only after 1/60 of the period, so that their number stays about the same.
local max_entries = 60;

local rate = {};
rate.__index = rate;

-- At most `limit` events in any `seconds`.
local function new(limit, seconds)
	return setmetatable({ limit = limit; seconds = seconds; total = 0; entries = fifo.new() }, rate);
end

local function drop_expired(self, time)
	local entries = self.entries;
	while not is_empty(entries) and entries[entries.first].time + self.seconds <= time do
		local entry = pop(entries);
		self.total = self.total - entry.count;
		entry.count = 0; -- so that `give_back` changes nothing
	end
end

local function current_entry(self, time)
	local entries = self.entries;
	local entry = entries[entries.last];
	if not entry or entries.last - entries.first < max_entries or time - entry.start_time >= self.seconds / max_entries then
		entry = { start_time = time; count = 0 };
		push(entries, entry);
	end
	return entry;
end

-- The time until `count` events are within the limit. If `count` alone exceeds the limit: the time until all events have expired.
local function seconds_until(self, count, time) --> number
	local total, entries, seconds = self.total, self.entries, self.seconds;
	local index = entries.first;
	while index <= entries.last and total + count > self.limit do
		total = total - entries[index].count;
		seconds = math.ceil(entries[index].time + self.seconds - time);
		index = index + 1;
	end
	return seconds;
end

-- Counts events, if all of them are within the limit.
function rate:take(count) --> entry, for `give_back`; or nil, seconds until they are within the limit
	local time = now();
	drop_expired(self, time);
	if self.total + count > self.limit then
		return nil, seconds_until(self, count, time);
	end
	local entry = current_entry(self, time);
	entry.time, entry.count = time, entry.count + count;
	self.total = self.total + count;
	return entry;
end

-- Whether an entry is in the current period.
function rate:is_current(entry) --> boolean
	return entry.time + self.seconds > now();
end

-- Takes back events that `take` has counted in `entry` and that did not happen.
function rate:give_back(entry, count)
	count = math.min(count, entry.count);
	entry.count, self.total = entry.count - count, self.total - count;
end

return { new = new };
