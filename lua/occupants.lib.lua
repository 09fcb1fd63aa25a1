-- The occupants of rooms (occupant.lib.lua) that this module has on this host, and their limits.

local cache = require "util.cache";

local counters = module.import "counters";
local problems = module.import "problems";

local max_per_account, max_in_all = 200, 2000;

local by_address = {}; -- the occupant's own address → occupant
local by_room = {}; -- account, room → occupant
local by_account = {}; -- account → its occupants → true
local by_last_message = cache.new(max_in_all + 1); -- occupants, in the order of their last messages

local function key_of(account, room) --> string
	return account.."\n"..room;
end

local function contains(occupant) --> boolean
	return by_address[occupant.address] == occupant;
end

local function add(occupant)
	local account = occupant.account;
	by_address[occupant.address] = occupant;
	by_room[key_of(account, occupant.room)] = occupant;
	by_account[account] = by_account[account] or {};
	by_account[account][occupant] = true;
	by_last_message:set(occupant, true);
end

local function remove(occupant)
	local account = occupant.account;
	by_address[occupant.address] = nil;
	by_room[key_of(account, occupant.room)] = nil;
	by_account[account][occupant] = nil;
	if not next(by_account[account]) then by_account[account] = nil; end
	by_last_message:set(occupant, nil);
end

-- The occupant that has this address.
local function find_by_address(address) --> occupant or nil
	return by_address[address];
end

local function find(account, room) --> occupant or nil
	return by_room[key_of(account, room)];
end

-- The occupant sends a message now.
local function note_message(occupant)
	by_last_message:set(occupant, true);
end

-- Of the account's occupants that are not busy, finds the one whose last message is the oldest.
local function find_idle(account) --> number of the account's occupants; the idle one, or nil
	local count, idle = 0, nil;
	for occupant in pairs(by_account[account] or {}) do
		count = count + 1;
		if not occupant:is_busy() and (not idle or occupant.spoke_at < idle.spoke_at) then idle = occupant; end
	end
	return count, idle;
end

-- Makes place for one more room of an account: at the limit, an idle occupant leaves its room.
local function make_place(account, room) --> true; or nil, problem
	local count, idle = find_idle(account);
	if count < max_per_account then
		count = by_last_message:count();
		if count < max_in_all then return true; end
		idle = by_last_message:tail();
		if idle:is_busy() then idle = nil; end
	end
	if not idle then
		return nil, problems.new("overloaded",
			("%s: %d rooms are being joined or spoken to already; try again in a moment"):format(room, count), { temporary = true });
	end
	idle:leave(problems.new("unloaded"));
	return true;
end

local function leave_all(problem)
	local all = {};
	for _, occupant in pairs(by_address) do all[#all + 1] = occupant; end
	for _, occupant in ipairs(all) do occupant:leave(problem); end
end

local function count(is_counted) --> number
	local sum = 0;
	for _, occupant in pairs(by_address) do
		if is_counted(occupant) then sum = sum + 1; end
	end
	return sum;
end

local function count_joined() --> number
	return count(function (occupant) return occupant.joined; end);
end

counters.register("busy_occupants", function ()
	return count(function (occupant) return occupant:is_busy(); end);
end);
counters.register("unjoined_occupants", function ()
	return count(function (occupant) return not occupant.joined; end);
end);
counters.register("speaking_occupants", function ()
	return count(function (occupant) return occupant.is_speaking; end);
end);

return {
	add = add; find_by_address = find_by_address; contains = contains; count_joined = count_joined;
	find = find; leave_all = leave_all; make_place = make_place;
	note_message = note_message; remove = remove;
};
