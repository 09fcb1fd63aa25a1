-- Sending tokens → senders. A right token is remembered, and accepted however many were wrong.

local equals = require "util.hashes".equals;
local jid_bare = require "util.jid".bare;

local accounts = module.import "accounts";
local auth_problems = module.import "auth_problems";
local config = module.import "config";
local expiring_cache = module.import "expiring_cache";
local feed = module.import "feed";
local native = module.import "native";
local problems = module.import "problems";
local senders = module.import "senders";
local token_rates = module.import "token_rates";
local tokens = module.import "host_tokens";

-- id of a right token → { id, account, hash, …, senders by address, count of senders }
local known_tokens = expiring_cache.new(1000, config.credential_recheck);
local most_addresses = 8; -- senders of a token that are remembered
local forgettings = 0; -- a token that was forgotten while it was looked up is not remembered

-- Whether a token in a request is the one that is known or stored. A client may send the token with an address of its account.
local function is_same(token, hash, account) --> boolean
	return equals(hash, token.hash) and (not token.address or jid_bare(token.address) == account);
end

-- The entry of a token in the store, if the token is right.
local function look_up(exchange, token) --> entry, account; or nil, problem
	local entry, trouble = tokens:find(token.id, os.time());
	if trouble then
		module:log("error", "Sending tokens cannot be read: %s", trouble.cause);
		return nil, problems.new("unavailable", "it cannot be told now whether the token is valid; try again");
	end
	local account = entry and entry.account.."@"..module.host;
	local is_right = entry and is_same(token, entry.hash, account);
	if is_right and accounts.is_active(entry.account, module.host) then
		return entry, account;
	elseif is_right and accounts.is_unreadable(entry.account, module.host) then
		return nil, auth_problems.unreadable_account();
	end
	if is_right or not entry then known_tokens:set(token.id, nil); end
	return nil, auth_problems.wrong_token(exchange, account or "token:"..token.id, token.id);
end

-- What is remembered of a right token. A token never changes.
local function new_known(token, entry, account) --> known
	local id, rate = token.id, entry.rate;
	return {
		id = id; account = account; hash = token.hash; expires = entry.expires; as = entry.as; webhook_secret = entry.webhook_secret;
		allowed = entry.to and native.allowed(id, entry.to);
		admit = rate and function (count) return token_rates.take(id, rate, count); end;
		senders = {}; count = 0;
	};
end

-- The sender that a token stands for, at an address of its account.
local function sender_at(known, address) --> sender; or nil, problem
	local sender = known.senders[address];
	if sender then return sender; end
	local problem;
	sender, problem = senders.new(address);
	if not sender then return nil, problem; end
	sender.token, sender.as, sender.allowed, sender.admit = known.id, known.as, known.allowed, known.admit;
	sender.webhook_secret = known.webhook_secret;
	if known.count == most_addresses then known.senders, known.count = {}, 0; end
	known.senders[address], known.count = sender, known.count + 1;
	return sender;
end

-- `token` has id, hash and perhaps the address that came with it.
local function sender_of(exchange, token) --> sender; or nil, problem
	local known = known_tokens:get(token.id);
	local time = os.time();
	if known and (not known.expires or known.expires > time) then
		if is_same(token, known.hash, known.account) then return sender_at(known, token.address or known.account); end
		return nil, auth_problems.wrong_token(exchange, known.account, token.id);
	end
	local mark = forgettings;
	local entry, account = look_up(exchange, token);
	if not entry then return nil, account; end
	tokens:note_use(token.id, time);
	known = new_known(token, entry, account);
	if mark == forgettings then known_tokens:set(token.id, known); end
	return sender_at(known, token.address or account);
end

-- A token that was made with the secret of a webhook sends only what is signed with the secret.
local function check_signature(exchange, sender) --> true; or nil, problem
	local signature = exchange.native:signature(sender.webhook_secret);
	if not feed(signature, exchange.body, sender.account) then return nil, problems.new("unloaded"); end
	if signature:is_right() then return true; end
	local problem = auth_problems.wrong_token(exchange, sender.account, sender.token);
	if problem.kind == "unauthorized" then
		problem.detail = "the webhook's signature (X-Hub-Signature-256, X-Gitea-Signature or X-Gitlab-Token) is missing, or not made with"
			.." the secret of token "..sender.token;
	end
	return nil, problem;
end

-- Forgets the tokens of an account: the account has changed, or one of them was revoked.
local function forget(account)
	forgettings = forgettings + 1;
	for id, known in known_tokens:items() do
		if known.account == account then known_tokens:set(id, nil); end
	end
end

return { check_signature = check_signature; forget = forget; sender_of = sender_of };
