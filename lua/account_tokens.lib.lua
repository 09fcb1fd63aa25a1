-- What an account does with its own sending tokens, from a chat client or the page.

local is_async = require "util.async".ready;

local auth = module.import "auth";
local rules = module.import "tokens";
local scheduler = module.import "scheduler";
local tokens = module.import "host_tokens";

-- Leaves the event loop to others, where the caller can be suspended.
local function breathe(username) --> boolean: whether it goes on
	return not is_async() or scheduler.breathe(username.."@"..module.host);
end

-- `given` as tokens.lib.lua's `read` takes it, with `days` instead of `expires`.
local function add(username, given) --> token, id; or nil, the name of what is wrong, and perhaps a sentence in English
	given.expires = given.days and given.days ~= "" and given.days.."d" or nil;
	local entry, wrong, sentence = rules.read(given, os.time());
	if wrong == "expires" then
		return nil, "days", "the days until a token expires are a whole number, from 1 to 36500";
	elseif not entry then
		return nil, wrong, sentence;
	end
	local token, id = tokens.add(username, entry);
	if token then module:log("info", "%s@%s made the sending token %s", username, module.host, id); end
	return token, id;
end

local function list(username) --> { { id, entry }, … }, or nil
	return tokens.list(username, os.time(), function () return breathe(username); end);
end

local function revoke(username, id) --> true; or nil, "none" or "store"
	local entry, err = tokens.find(id, os.time());
	if err then return nil, "store"; end
	if not entry or entry.account ~= username then return nil, "none"; end
	local _, wrong = tokens.revoke(id, os.time());
	if wrong then return nil, wrong; end
	auth.forget_tokens(username.."@"..module.host);
	module:log("info", "%s@%s revoked the sending token %s", username, module.host, id);
	return true;
end

return { add = add; breathe = breathe; list = list; revoke = revoke };
