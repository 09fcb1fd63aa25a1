-- In-memory index of stored idempotency keys. It saves a storage lookup for new keys, and counts the keys of each account.
--
-- A key's name is the hash of its account (16 hexadecimal digits), a hyphen, and a hash (64 digits). Days are counted since the epoch.

local key_index = {};
key_index.__index = key_index;

-- `is_shared`: whether other processes write into the store too. Then the index cannot know all names, and keeps none.
function key_index.new(is_shared) --> index
	return setmetatable({
		is_shared = is_shared;
		is_complete = false; -- whether all stored names are in the index
		-- Day → the first digits of the name's second hash → the digits after them, as a number → true. The tables are many and
		-- small, since a large table would hold the event loop when it grows; Lua's garbage collector skips numbers.
		days = {};
		counts = {}; -- hash of an account → number of its keys, approximately
	}, key_index);
end

local function split(name) --> key in the table of a day, key in the table below it; nil if it is not the name of a key
	return name:sub(18, 19), tonumber(name:sub(20, 31), 16);
end

function key_index:add(day, name)
	local first_digits, other_digits = split(name);
	if not other_digits then return; end
	local names = self.days[day] or {};
	self.days[day] = names;
	if self.is_shared then return; end
	local place = names[first_digits] or {};
	names[first_digits] = place;
	place[other_digits] = true;
end

-- Whether the store may have a key. If not, no lookup is needed.
function key_index:may_have(day, name) --> boolean
	if not self.is_complete then return true; end
	local first_digits, other_digits = split(name);
	local names = self.days[day];
	return names ~= nil and names[first_digits] ~= nil and names[first_digits][other_digits] ~= nil;
end

-- Days after `day` that have keys, which were stored before the clock was set back.
function key_index:days_after(day) --> list
	local days = {};
	for other in pairs(self.days) do
		if other > day then days[#days + 1] = other; end
	end
	return days;
end

function key_index:drop_before(day)
	for other in pairs(self.days) do
		if other < day then self.days[other] = nil; end
	end
end

-- All stored names are in the index now. `counts`: hash of an account → number of its keys.
function key_index:complete(counts)
	self.counts, self.is_complete = counts, not self.is_shared;
end

function key_index:count_one(account_hash)
	self.counts[account_hash] = (self.counts[account_hash] or 0) + 1;
end

function key_index:count_of(account_hash) --> number
	return self.counts[account_hash] or 0;
end

function key_index:count() --> number
	local all = 0;
	for _, count in pairs(self.counts) do all = all + count; end
	return all;
end

-- Stops counting the keys of an account.
function key_index:forget(account_hash)
	self.counts[account_hash] = nil;
end

return key_index;
