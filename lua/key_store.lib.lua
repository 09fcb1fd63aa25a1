-- The entries of idempotency keys: an answer, or a problem, for each key. An entry is named by the day on which it was made and the
-- key's name, so that a look-up costs the same for any number of keys, and tidying finds old entries by their names. An entry that the
-- store does not accept stays in memory until the store accepts it.

local cache = require "util.cache";
local sha256 = require "util.hashes".sha256;

local key_index = module.import "key_index";
local key_owners = module.import "key_owners";
local open_store = module.import "store".open;
local scheduler = module.import "scheduler";
local turns = module.import "turns";

local validity = 24 * 60 * 60; -- seconds
local max_keys = 100000; -- of an account
local max_unstored = 1000;
local tidy_interval = 60 * 60; -- seconds
local retry_interval = 5; -- seconds

local store = open_store(module, "post_msg_keys");
local index = key_index.new(store.shared);
local unstored_entries = cache.new(max_unstored); -- name of a key → entry that is not stored yet
local is_retrying = false;
local is_storage_none = false; -- whether the storage is "none"

local function day_of(time) --> days since the epoch
	return math.floor(time / validity);
end

local function entry_name(day, name) --> name in the store
	return day.."-"..name;
end

local function split_entry_name(text) --> day, name of the key, hash of its account; nothing for the entry of an owner
	local day, name, account_hash = text:match("^(%d+)%-((%w+)%-%w+)$");
	return tonumber(day), name, account_hash;
end

local function hash_account(account) --> first part of the names of its keys
	return sha256(account, true):sub(1, 16);
end

local function account_hash_of(name) --> string
	return name:sub(1, 16);
end

local function name_of(sender, key) --> string
	sender.hash = sender.hash or hash_account(sender.account);
	return sender.hash.."-"..sha256(sender.account.."\n"..key, true);
end

local function is_valid(entry, time) --> boolean
	return entry ~= nil and entry.time ~= nil and time - entry.time < validity;
end

local function read(day, name, time) --> entry or nil; or nil and an error
	if not index:may_have(day, name) then return nil; end
	local entry, err = store:get(entry_name(day, name));
	if is_valid(entry, time) then return entry; end
	is_storage_none = entry ~= nil and entry.time == nil;
	return nil, not entry and err or nil;
end

-- A key of the last 24 hours was made today or yesterday; or on a later day, if the clock was set back since.
local function possible_days(time) --> list
	local today = day_of(time);
	local days = { today, today - 1 };
	for _, day in ipairs(index:days_after(today)) do days[#days + 1] = day; end
	return days;
end

local function find(name) --> entry or nil; or nil and an error
	local time = os.time();
	local unstored_entry = unstored_entries:get(name);
	if is_valid(unstored_entry, time) then return unstored_entry; end
	for _, day in ipairs(possible_days(time)) do
		local entry, err = read(day, name, time);
		if entry or err then return entry, err; end
	end
end

-- The entry of a sender's key. The key of a deleted account does not count for a new account of the same name.
local function find_of_sender(name, sender) --> entry or nil; or nil and an error
	local entry, err = find(name);
	if entry and entry.owner then
		local owner;
		owner, err = key_owners.find(sender);
		if entry.owner ~= owner then return nil, err; end
	end
	return entry, err;
end

local function store_entry(name, entry) --> true; or nil and an error
	return store:set(entry_name(day_of(entry.time), name), entry);
end

-- Tries again to store the entries in memory, until all are stored.
local function retry()
	local has_failed;
	turns.in_slices(function ()
		local name = unstored_entries:tail();
		if not name then
			is_retrying = false;
			module:log("info", "All idempotency keys are stored again");
		elseif has_failed then
			module:add_timer(retry_interval, retry);
			return nil;
		end
		return name;
	end, function (name)
		if store_entry(name, unstored_entries:get(name)) then
			unstored_entries:set(name, nil);
		else
			has_failed = true;
		end
	end);
end

local function keep(name, entry)
	index:add(day_of(entry.time), name);
	local ok, err = store_entry(name, entry);
	if not ok then
		if not is_retrying then
			is_retrying = true;
			module:log("warn", "Idempotency keys cannot be stored, and are lost if Prosody ends before they are stored: %s", err);
			module:add_timer(retry_interval, retry);
		end
		unstored_entries:set(name, entry);
	end
	index:count_one(account_hash_of(name));
end

-- Keeps the entry of a sender's key, with its owner.
local function keep_of_sender(name, sender, entry)
	entry.owner = key_owners.find(sender, true);
	keep(name, entry);
end

-- Calls `handle` with the name of each entry, in slices, and then perhaps `finish`.
local function each_entry(handle, finish)
	local names, state, name = store:users();
	if not names then return; end
	turns.in_slices(function ()
		name = names(state, name);
		if not name and finish then finish(); end
		return name;
	end, handle);
end

-- Deletes the entries of old days, and indexes all others.
local function tidy()
	local first_day = day_of(os.time()) - 1;
	index:drop_before(first_day);
	for name, entry in unstored_entries:items() do
		if not is_valid(entry, os.time()) then unstored_entries:set(name, nil); end
	end
	local counts = {};
	each_entry(function (text)
		local day, name, account_hash = split_entry_name(text);
		if day and day < first_day then
			store:set(text, nil);
		elseif day then
			index:add(day, name);
			counts[account_hash] = (counts[account_hash] or 0) + 1;
		end
	end, function () index:complete(counts); end);
end

-- Deletes the entries of a deleted account. They are not valid any more, so this may take long.
local function forget_account(event)
	local account = event.username.."@"..event.host;
	local hash = hash_account(account);
	key_owners.forget(account);
	for name in unstored_entries:items() do
		if account_hash_of(name) == hash then unstored_entries:set(name, nil); end
	end
	if index:count_of(hash) == 0 then return; end
	index:forget(hash);
	each_entry(function (text)
		if select(3, split_entry_name(text)) == hash then store:set(text, nil); end
	end);
end

-- Whether an account has as many keys as it may have. `name` is the name of a key of the account.
local function is_full(name) --> boolean
	return index:count_of(account_hash_of(name)) >= max_keys;
end

-- The seconds until another key can be kept.
local function seconds_until_free() --> seconds; nil if a key can be kept now
	return unstored_entries:count() >= max_unstored and not is_storage_none and retry_interval or nil;
end

local function count() --> number of all keys, approximately
	return index:count();
end

-- On a reload, the new module takes over the entries that are not stored.
local function save() --> entries
	return unstored_entries;
end

local function restore(entries)
	for name, entry in entries:items() do keep(name, entry); end
end

module:hook_global("user-deleted", forget_account);
scheduler.add_timer(0, function () tidy(); return tidy_interval; end);

return {
	name_of = name_of; find = find_of_sender; keep = keep_of_sender; is_full = is_full; seconds_until_free = seconds_until_free; count = count;
	save = save; restore = restore;
};
