-- A cache of limited size whose entries expire. Setting an entry drops expired ones, so that no timer is needed.

local cache = require "util.cache";
local now = require "util.time".monotonic;

local drops_per_set = 2; -- expired entries that one `set` drops: more than it adds, but so few that they take almost no time

local expiring_cache = {};
expiring_cache.__index = expiring_cache;

-- At most `limit` entries; an entry expires `seconds` after it was set.
local function new(limit, seconds)
	return setmetatable({ entries = cache.new(limit); seconds = seconds }, expiring_cache);
end

function expiring_cache:has_expired(entry) --> boolean
	return now() - entry.time >= self.seconds;
end

function expiring_cache:get(key) --> value; or nil, the expired value if it is still there
	local entry = self.entries:get(key);
	if not entry then return nil; end
	if self:has_expired(entry) then return nil, entry.value; end
	return entry.value;
end

-- Entries are in the order in which they were set, so the oldest one expires first.
function expiring_cache:expired_key() --> the key of the oldest entry if it has expired; or nil
	local key, entry = self.entries:tail();
	if key ~= nil and self:has_expired(entry) then return key; end
	return nil;
end

-- The value nil deletes the entry.
function expiring_cache:set(key, value)
	self.entries:set(key, value ~= nil and { value = value; time = now() } or nil);
	for _ = 1, drops_per_set do
		local old_key = self:expired_key();
		if old_key == nil then return; end
		self.entries:set(old_key, nil);
	end
end

-- Iterates over all entries that are still there. The current entry may be deleted meanwhile.
function expiring_cache:items() --> iterator: key, value
	local next_item = self.entries:items();
	return function ()
		local key, entry = next_item();
		if key == nil then return nil; end
		return key, entry.value;
	end
end

return { new = new };
