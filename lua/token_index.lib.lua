-- Which sending tokens an account has: its ids, stored under the account's name, so that Prosody deletes the list with the account
-- even if this module is not loaded. A token is valid only if its account lists it.

local open_store = module.import "store".open;

local token_index = {};
token_index.__index = token_index;

-- `tokens` is the store of tokens. If a loss of power has torn the list of an account, it is made again from this store.
function token_index.new(context, tokens) --> index
	return setmetatable({
		tokens = tokens;
		lists = open_store(context, "post_msg_token_ids"); -- account's name → id → when it expires (seconds since the epoch), or 0
		unstored_lists = {}; -- account's name → ids, while they cannot be stored
	}, token_index);
end

function token_index:accounts() --> iterator, state and first name, as `pairs` returns them; or nil
	return self.lists:users();
end

function token_index:set(username, ids) --> true; or nil and an error
	return self.lists:set(username, next(ids) and ids or nil);
end

-- Makes the list of an account again, from its tokens.
function token_index:collect(username) --> { id → when it expires, or 0 }; or nil and an error
	local ids = self.unstored_lists[username];
	if not ids then
		local names, state, name = self.tokens:users();
		if not names then return nil, "the tokens cannot be listed"; end
		ids = {};
		for id in names, state, name do
			local entry, err = self.tokens:get(id);
			if err then return nil, err; end
			if entry and entry.account == username then ids[id] = entry.expires or 0; end
		end
	end
	self.unstored_lists[username] = not self:set(username, ids) and ids or nil;
	return ids;
end

-- Takes the expired ids out of `ids`.
local function take_expired(ids, now) --> the same ids; the expired ones
	local expired = {};
	for id, expires in pairs(ids) do
		if expires > 0 and expires <= now then expired[id] = true; end
	end
	for id in pairs(expired) do ids[id] = nil; end
	return ids, expired;
end

-- The ids of an account that have not expired. Removes the expired ids from the list; the caller deletes their tokens.
function token_index:get(username, now) --> { id → when it expires, or 0 }, { expired id → true }; or nil and an error
	local ids, err, is_torn = self.lists:get(username);
	if is_torn then ids, err = self:collect(username); end
	if err then return nil, err; end
	local expired;
	ids, expired = take_expired(ids or {}, now);
	if next(expired) then self:set(username, ids); end
	return ids, expired;
end

-- Deletes the list of an account.
function token_index:forget(username) --> { id → when it expires, or 0 }, which the list had
	local ids = self.lists:get(username) or {};
	self.lists:set(username, nil);
	return ids;
end

return token_index;
