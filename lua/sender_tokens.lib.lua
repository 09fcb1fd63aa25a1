-- Sending tokens → senders. A valid token is cached, and is accepted even after many wrong tokens.

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

-- id of a valid token → { id, account, hash, …, senders by address, count of senders }
local known_tokens = expiring_cache.new(1000, config.credential_recheck);
local max_addresses = 8; -- senders of a token that are cached
local forget_count = 0; -- number of calls of `forget`; if it changes during a lookup, the token is not cached

-- Whether a token in a request is the cached or stored token. A client may send the token with an address of its account.
local function matches(token, hash, account) --> boolean
	return equals(hash, token.hash) and (not token.address or jid_bare(token.address) == account);
end

-- The entry of a token in the store of its host, if the token is right.
local function look_up(exchange, token) --> entry, account, host; or nil, problem
	local entry, host = tokens.find(token.id, os.time());
	if not entry and host then
		module:log("error", "Sending tokens cannot be read: %s", host.cause);
		return nil, problems.new("unavailable", "the server cannot check now whether the token is valid; try again");
	end
	local account = entry and entry.account.."@"..host;
	local is_right = entry and matches(token, entry.hash, account);
	if is_right and accounts.is_active(entry.account, host) then
		return entry, account, host;
	elseif is_right and accounts.is_unreadable(entry.account, host) then
		return nil, auth_problems.unreadable_account();
	end
	if is_right or not entry then known_tokens:set(token.id, nil); end
	return nil, auth_problems.wrong_token(exchange, account or "token:"..token.id, token.id);
end

-- The cache entry of a valid token. A token never changes.
local function new_known_token(token, entry, account) --> known
	local id, rate = token.id, entry.rate;
	return {
		id = id; account = account; hash = token.hash; expires = entry.expires; as = entry.as; webhook_secret = entry.webhook_secret;
		template = entry.template; get = entry.get;
		allowed = entry.to and native.allowed(id, entry.to);
		admit = rate and function (count) return token_rates.take(id, rate, count); end;
		senders = {}; count = 0;
	};
end

-- The sender of a token, at an address of its account.
local function sender_at(known_token, address) --> sender; or nil, problem
	local sender = known_token.senders[address];
	if sender then return sender; end
	local problem;
	sender, problem = senders.new(address);
	if not sender then return nil, problem; end
	sender.token, sender.as, sender.allowed, sender.admit = known_token.id, known_token.as, known_token.allowed, known_token.admit;
	sender.webhook_secret, sender.template, sender.get = known_token.webhook_secret, known_token.template, known_token.get;
	if known_token.count == max_addresses then known_token.senders, known_token.count = {}, 0; end
	known_token.senders[address], known_token.count = sender, known_token.count + 1;
	return sender;
end

-- `token` is { id, hash, address }; the address is nil if the client sent none.
local function sender_of(exchange, token) --> sender; or nil, problem
	local known_token = known_tokens:get(token.id);
	local time = os.time();
	if known_token and (not known_token.expires or known_token.expires > time) then
		if matches(token, known_token.hash, known_token.account) then return sender_at(known_token, token.address or known_token.account); end
		return nil, auth_problems.wrong_token(exchange, known_token.account, token.id);
	end
	local old_forget_count = forget_count;
	local entry, account, host = look_up(exchange, token);
	if not entry then return nil, account; end
	tokens.note_use(token.id, host, time);
	known_token = new_known_token(token, entry, account);
	if old_forget_count == forget_count then known_tokens:set(token.id, known_token); end
	return sender_at(known_token, token.address or account);
end

-- A token with the secret of a webhook sends only requests that are signed with the secret.
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

-- Forgets the tokens of an account, on this host: the account has changed, or one of them was revoked.
local function forget(account)
	forget_count = forget_count + 1;
	for id, known_token in known_tokens:items() do
		if known_token.account == account then known_tokens:set(id, nil); end
	end
end

module:hook_global("post_msg/token-revoked", function (event) forget(event.account); end);

return { check_signature = check_signature; forget = forget; sender_of = sender_of };
