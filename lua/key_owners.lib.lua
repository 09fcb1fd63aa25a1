-- Owners of idempotency keys. An account has a random id in the store of its host, under its own name, so that Prosody deletes the id
-- with the account, even if this module is not loaded. The entry of a key has the id of its account, so a new account of the same name does
-- not get the answers of the deleted one.

local new_id = require "util.id".medium;

local expiring_cache = module.import "expiring_cache";
local guard = module.import "guard";
local open_store = module.import "store".open;

local hosts = prosody.hosts;

local store_name = "post_msg_keys"; -- the name of an entry here cannot be that of a key
local trust_seconds = 5; -- seconds for which an id is not read again

local ids = expiring_cache.new(1000, trust_seconds); -- account → id

local function store_of(host) --> store; or nil, problem
	if host == module.host then return open_store(module, store_name); end
	local ok, store = guard.call("Storage of "..host, open_store, module:context(host), store_name);
	if not ok then return nil, store; end
	return store;
end

-- Whether the storage can hold an id for a sender. It cannot if the sender's host was deactivated meanwhile, or if the username looks like
-- the name of a key.
local function can_have_id(sender) --> boolean
	return hosts[sender.host] ~= nil and not sender.username:find("^%d+%-%w+%-%w+$");
end

local function read(sender, make) --> id or nil; or nil and an error
	local store, problem = store_of(sender.host);
	if not store then return nil, problem.detail; end
	local entry, err = store:get(sender.username);
	if err then return nil, err; end
	if not entry and make then
		entry = { id = new_id() };
		if not store:set(sender.username, entry) then return nil; end
	end
	return entry and entry.id;
end

-- The id of a sender's account; `make`: whether to make a missing id. A key has no owner if an earlier version stored it, or
-- if the id could not be stored.
local function find(sender, make) --> id or nil; or nil and an error
	local id = ids:get(sender.account);
	if id then return id; end
	if not can_have_id(sender) then return nil; end
	local err;
	id, err = read(sender, make);
	if not err then ids:set(sender.account, id); end
	return id, err;
end

local function forget(account)
	ids:set(account, nil);
end

return { find = find; forget = forget };
