-- The sending tokens of a host: one entry each, under the token's id, with its account. An entry is written once, when the token is
-- made, so that a loss of power can damage only a token that was just made.

local now_monotonic = require "util.time".monotonic;

local open_store = module.import "store".open;
local problems = module.import "problems";
local token_index = module.import "token_index";
local token_uses = module.import "token_uses";

local count_interval = 60; -- seconds

local function handle_all(next_item, handle)
	for item in next_item do handle(item); end
end

local token_store = {};
token_store.__index = token_store;

-- `context` is the module API of the host. `options` has `new_token`, a function of the native half; `limit`, the maximum
-- number of tokens of an account; and perhaps `in_slices`, which calls a function with each item of an iterator and lets the event loop do
-- other work in between.
function token_store.new(context, options) --> store
	local entries = open_store(context, "post_msg_tokens"); -- id → entry; entries of token_uses
	return setmetatable({
		new_token = options.new_token; limit = options.limit; in_slices = options.in_slices or handle_all;
		entries = entries; index = token_index.new(context, entries); uses = token_uses.new(context, entries);
		last_count = 0;
	}, token_store);
end

local function unavailable() return problems.new("tokens_unavailable"); end

function token_store:delete(id)
	self.entries:set(id, nil);
	self.uses:forget(id);
end

function token_store:delete_all(ids)
	local id;
	self.in_slices(function ()
		id = next(ids, id);
		return id;
	end, function (expired_id) self:delete(expired_id); end);
end

-- The ids of an account. Deletes its tokens that have expired.
function token_store:ids_of(username, now) --> { id → when it expires, or 0 }; or nil and an error
	local ids, expired = self.index:get(username, now);
	if not ids then return nil, expired; end
	self:delete_all(expired);
	return ids;
end

local function count_keys(items) --> number
	local count = 0;
	for _ in pairs(items) do count = count + 1; end
	return count;
end

-- `entry` is what token_spec reads.
function token_store:add(username, entry) --> token, id; or nil, problem
	local ids = self:ids_of(username, entry.made);
	if not ids then
		return nil, unavailable();
	elseif count_keys(ids) >= self.limit then
		return nil, problems.new("token_limit");
	end
	local token, id, hash = self.new_token();
	entry.account, entry.hash = username, hash;
	if not self.entries:set(id, entry) then return nil, unavailable(); end
	ids[id] = entry.expires or 0;
	if not self.index:set(username, ids) then
		self:delete(id);
		return nil, unavailable();
	end
	return token, id;
end

-- The problem has the `cause`: the error of the storage.
function token_store:find(id, now) --> entry, or nil if there is no valid token; or nil, problem
	if not id:find("^%x+$") or #id > 100 then return nil; end -- not every store takes such a name
	local entry, err = self.entries:get(id);
	local ids;
	if entry and entry.account then ids, err = self:ids_of(entry.account, now); end
	if err then return nil, problems.new("tokens_unavailable", nil, { cause = err }); end
	return ids and ids[id] and entry or nil;
end

-- `breathe`, if not nil, lets the event loop do other work between two tokens, and returns whether to go on.
function token_store:list(username, now, breathe) --> { { id, entry, used }, … } from the oldest to the newest; or nil, problem
	local ids = self:ids_of(username, now);
	if not ids then return nil, unavailable(); end
	local tokens = {};
	for id in pairs(ids) do
		if breathe and not breathe() then return nil, problems.new("unloaded"); end
		local entry = self.entries:get(id);
		if entry then tokens[#tokens + 1] = { id = id; entry = entry; used = self.uses:last(id) }; end
	end
	table.sort(tokens, function (a, b)
		if a.entry.made ~= b.entry.made then return a.entry.made < b.entry.made; end
		return a.id < b.id;
	end);
	return tokens;
end

function token_store:revoke(id, now) --> name of its account; or nil, problem
	local entry, problem = self:find(id, now);
	if not entry then return nil, problem or problems.new("unknown_token"); end
	local ids = self:ids_of(entry.account, now);
	if not ids then return nil, unavailable(); end
	ids[id] = nil;
	if not self.index:set(entry.account, ids) then return nil, unavailable(); end
	self:delete(id);
	return entry.account;
end

-- Records that a token was used, for the list of tokens.
function token_store:note_use(id, now)
	self.uses:note(id, now);
end

-- Deletes the tokens of an account.
function token_store:forget_account(username)
	self:delete_all(self.index:forget(username));
end

-- The names of all accounts that have tokens.
function token_store:accounts() --> iterator, state and first name, as `pairs` returns them; or nil
	return self.index:accounts();
end

-- Calls `handle` with the name of each entry of the store, in slices, and then perhaps `finish`.
function token_store:each_entry(handle, finish)
	local names, state, name = self.entries:users();
	if not names then return; end
	self.in_slices(function ()
		name = names(state, name);
		if not name and finish then finish(); end
		return name;
	end, handle);
end

-- The number of tokens at the last count. They are counted again at most once a minute, because prosodyctl makes and revokes tokens too.
function token_store:count() --> number
	local time = now_monotonic();
	if self.last_count_time and time - self.last_count_time < count_interval then return self.last_count; end
	self.last_count_time = time;
	local count = 0;
	self:each_entry(function (name)
		if not name:find("-", 1, true) then count = count + 1; end
	end, function () self.last_count = count; end);
	return self.last_count;
end

-- Deletes the tokens that have expired, and the tokens of deleted accounts.
function token_store:tidy()
	self:each_entry(function (name)
		local id = name:match("^[^-]*");
		local entry, problem = self:find(id, os.time());
		if not entry and not problem then self:delete(id); end
	end);
end

return token_store;
