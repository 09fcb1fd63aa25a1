-- Tokens of mod_tokenauth → senders. A valid token is accepted even after many wrong tokens.

local jid_prep = require "util.jid".prep;
local jid_split = require "util.jid".split;

local accounts = module.import "accounts";
local auth_problems = module.import "auth_problems";
local config = module.import "config";
local senders = module.import "senders";
local server = module.import "prosody";

local function sender_of(exchange, token) --> sender; or nil, problem
	local tokenauth = config.auth_mechanisms:contains("Bearer") and server.tokenauth(module.host);
	if not tokenauth then return nil, auth_problems.wrong_token(exchange, "(token)"); end
	local address, role = server.check_bearer(tokenauth, token);
	if not address and role == "internal-error" then return nil, auth_problems.unreadable_account(); end
	address = address and jid_prep(address);
	local user, host = jid_split(address);
	if not user or host ~= module.host then
		return nil, auth_problems.wrong_token(exchange, "(token)");
	elseif not accounts.is_active(user, host) then
		if accounts.is_unreadable(user, host) then return nil, auth_problems.unreadable_account(); end
		return nil, auth_problems.wrong_token(exchange, "(token)");
	end
	local sender, problem = senders.new(address, role);
	if sender then sender.by_token = true; end
	return sender, problem;
end

return { sender_of = sender_of };
