-- What an account does with its own sending tokens, in a chat client or on the page.

local is_async = require "util.async".ready;

local problems = module.import "problems";
local scheduler = module.import "scheduler";
local templates = module.import "templates";
local token_rows = module.import "token_rows";
local token_spec = module.import "token_spec";
local tokens = module.import "host_tokens".own;

local max_bytes_shown = 512; -- of a token's recipients

local function address_of(username) --> the account's address
	return username.."@"..module.host;
end

-- `fields`: as token_spec.read takes them.
local function add(username, fields) --> token, id, entry; or nil, problem
	local entry, problem = token_spec.read(fields, os.time(), templates);
	if not entry then return nil, problem; end
	local token, id = tokens:add(username, entry);
	if token then module:log("info", "%s made the sending token %s", address_of(username), id); end
	return token, id, entry;
end

-- Calls `handle` with the row of each token, from the oldest to the newest. If the caller can be suspended, the event loop does other
-- work between two tokens.
local function each_row(username, handle) --> true; or nil, problem
	local function breathe() --> boolean: whether to go on
		return not is_async() or scheduler.breathe(address_of(username));
	end
	local list, problem = tokens:list(username, os.time(), breathe);
	if not list then return nil, problem; end
	for _, token in ipairs(list) do
		if not breathe() then return nil, problems.new("unloaded"); end
		handle(token_rows.new(token, max_bytes_shown));
	end
	return true;
end

local function revoke(username, id) --> true; or nil, problem
	local entry, problem = tokens:find(id, os.time());
	if not entry or entry.account ~= username then
		return nil, problem or problems.new("unknown_token");
	end
	local ok;
	ok, problem = tokens:revoke(id, os.time());
	if not ok then return nil, problem; end
	prosody.events.fire_event("post_msg/token-revoked", { account = address_of(username) });
	module:log("info", "%s revoked the sending token %s", address_of(username), id);
	return true;
end

return { add = add; each_row = each_row; revoke = revoke };
