-- Senders: accounts that may send messages with this module.
--
-- A sender has address, account (its bare address), username, host, resource, role. The sender of a token of mod_tokenauth also
-- has by_token. The sender of a sending token has token (its id), as (the only format that it may send), allowed (the only recipients
-- that it may reach), admit (see sender_tokens.lib.lua), webhook_secret (the secret that signs its requests), template (the text of the template
-- of its messages), and get (whether it may send by GET).

local jid_split = require "util.jid".split;

local config = module.import "config";
local problems = module.import "problems";
local server = module.import "prosody";

local senders = {};

-- Whether an account may send. A role has a meaning on its own host only.
function senders.is_permitted(account, host, role) --> boolean
	if config.access and not config.access:contains(account) and not config.access:contains(host) then
		return false;
	end
	if not module.may or host ~= module.host then
		return true;
	end
	return module:may(":post-message", role and { session = { type = "c2s"; host = host; role = role } } or account);
end

-- `role`: the role of the credentials' session, or nil.
function senders.new(address, role) --> sender; or nil, problem
	local user, host, resource = jid_split(address);
	local account = user.."@"..host;
	if not senders.is_permitted(account, host, role) then
		return nil, problems.new("forbidden", account.." may not send messages with this module (post_msg_access)");
	end
	return {
		address = address; account = account; username = user; host = host; resource = resource;
		role = role or server.role_of(host, user);
	};
end

if module.may then -- COMPAT 0.12 has no permissions of roles
	module:default_permission("prosody:registered", ":post-message");
end

return senders;
