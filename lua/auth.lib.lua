-- Who sends: credentials, checked against the virtual host's own backend.

local cache = require "util.cache";
local equals = require "util.hashes".equals;
local jid_bare = require "util.jid".bare;
local jid_host = require "util.jid".host;
local jid_prep = require "util.jid".prep;
local jid_split = require "util.jid".split;
local usermanager = require "core.usermanager";

local config = module.import "config";
local expiring_cache = module.import "expiring_cache";
local native_host = module.import "host";
local metrics = module.import "metrics";
local native = module.import "native";
local passwords = module.import "passwords";
local problems = module.import "problems";
local scheduler = module.import "scheduler";
local show = module.import "display".show;
local token_rates = module.import "token_rates";

local hosts = prosody.hosts;

local tokens = module.import "host_tokens";
local count_credentials = metrics.counter("credentials");

-- address → a sender whose permission was looked at when its password was
local senders = cache.new(1000);
-- id of a sending token that was found right → { account, hash, … }, with its senders by address
local by_token = expiring_cache.new(1000, config.credential_recheck);
local most_addresses = 8; -- of a token whose senders are remembered
local forgotten = 0; -- grows whenever an account or a token is forgotten

local function tokenauth()
	local bearers = hosts[module.host].modules.tokenauth;
	return config.auth_mechanisms:contains("Bearer") and bearers or nil;
end

-- Refusals

local function unauthorized(detail)
	local challenges = {};
	-- A sending token can be the password of Basic, so it makes no Bearer of its own.
	if config.auth_mechanisms:contains("Basic") or config.auth_mechanisms:contains("Token") then
		table.insert(challenges, ("Basic realm=\"%s\", charset=\"UTF-8\""):format(module.host));
	end
	if tokenauth() or not config.auth_mechanisms:contains("Basic") then
		table.insert(challenges, ("Bearer realm=\"%s\""):format(module.host));
	end
	return { status = 401; detail = detail },
		{ www_authenticate = table.concat(challenges, ", ") };
end

local function not_authorized()
	return unauthorized("the address or password is wrong; or it is no account of this server, or a disabled one");
end

local function busy()
	return { status = 503; detail = "too many passwords wait to be verified; try again in a moment" }, { retry_after = "1" };
end

local function unreadable()
	return { status = 503; detail = "it cannot be told now whether the account is there; try again"; retry_after = 5 };
end

local function too_many(seconds)
	return { status = 429; detail = "too many failed attempts; try again in "..seconds.." seconds" }, { retry_after = tostring(seconds) };
end

-- The log tells it in the words that fail2ban's rules for Prosody know. A long account would push the IP address out of the line.
local function failed(problem, account, ip) --> problem
	problem.log = ("Failed authentication attempt (not-authorized) for user %s from IP: %s"):format(show(account), ip);
	return problem;
end

-- How many seconds a password of an account is trusted: what its own host says of it.
local function recheck_of(account) --> number
	local host = jid_host(account);
	local seconds = host ~= module.host and tonumber(module:context(host):get_option("post_msg_credential_recheck"));
	return seconds or config.credential_recheck;
end

local function forget_tokens(account)
	forgotten = forgotten + 1;
	for id, known in by_token:items() do
		if known.account == account then by_token:set(id, nil); end
	end
end

local function forget(event)
	local account = event.username.."@"..event.host;
	native_host.forget(account);
	for address in senders:items() do
		if jid_bare(address) == account then
			senders:set(address, nil);
		end
	end
	forget_tokens(account);
end

-- A role belongs to its own host.
local function permitted(account, host, role) --> boolean
	if config.access and not config.access:contains(account) and not config.access:contains(host) then
		return false;
	end
	if not module.may or host ~= module.host then
		return true;
	end
	return module:may(":post-message", role and { session = { type = "c2s"; host = host; role = role } } or account);
end

local function sender_of(address, role) --> sender, problem
	local user, host, resource = jid_split(address);
	local account = user.."@"..host;
	if not permitted(account, host, role) then
		return nil, { status = 403; detail = account.." may not send messages with this module" };
	end
	if not role and usermanager.get_user_role then -- COMPAT 0.12 has no roles of sessions
		role = usermanager.get_user_role(user, host);
	end
	return { address = address; account = account; username = user; host = host; resource = resource; role = role };
end

local function is_enabled(user, host) --> boolean
	if not usermanager.user_is_enabled then return true; end -- COMPAT 0.12 disables no accounts
	local enabled, err = usermanager.user_is_enabled(user, host);
	-- COMPAT 13.0: a backend that cannot disable accounts returns this error for each.
	return enabled or err == "method not implemented" or err == "method not supported";
end

local function is_active(user, host) --> boolean
	return usermanager.get_provider(host).user_exists(user) and is_enabled(user, host);
end

-- Tokens. A right one passes however many were wrong. Wrong ones count for the client's address; `account` is whose it was
-- claimed to be, or what stands for that in the log.

local function refuse_token(account, ip, id)
	local seconds = native_host.refuse_token(ip);
	if seconds then return too_many(seconds); end
	local problem, headers = unauthorized((id and "token "..id or "the token").." is not valid, or not valid any more");
	return failed(problem, account, ip), headers;
end

local function check_bearer(token, ip) --> sender, problem, headers
	local bearers = tokenauth();
	local address, role, err;
	if not bearers then
		return nil, refuse_token("(token)", ip);
	elseif rawget(bearers, "get_token_session") then -- a module is its environment, which is strict
		local session, info;
		session, err = bearers.get_token_session(token);
		if session then
			info, err = bearers.get_token_info(token);
			address, role = info and info.jid, session.role;
		end
	else -- COMPAT 0.12
		local info;
		info, err = bearers.get_token_info(token);
		address = info and info.jid;
	end
	if err == "internal-error" then return nil, unreadable(); end
	address = address and jid_prep(address);
	local user, host = jid_split(address);
	if not user or host ~= module.host then
		return nil, refuse_token("(token)", ip);
	elseif not is_active(user, host) then
		if passwords.is_unreadable(user, host) then return nil, unreadable(); end
		return nil, refuse_token("(token)", ip);
	end
	local sender, problem = sender_of(address, role);
	if sender then sender.by_token = true; end
	return sender, problem;
end

-- The sender that a token stands for, under the address that came with it.
local function sender_by(known, address) --> sender, problem
	local sender = known.senders[address];
	if sender then return sender; end
	local problem;
	sender, problem = sender_of(address);
	if not sender then return nil, problem; end
	sender.token, sender.as, sender.allowed, sender.admit = known.id, known.as, known.allowed, known.admit;
	sender.webhook_secret = known.webhook_secret;
	if known.count == most_addresses then known.senders, known.count = {}, 0; end
	known.senders[address], known.count = sender, known.count + 1;
	return sender;
end

-- `address` is what came with the token in Basic credentials.
local function check_sending_token(id, hash, address, ip) --> sender, problem, headers
	local known, older = by_token:get(id);
	local clock = os.time();
	if known and (not known.expires or known.expires > clock) then
		if not equals(known.hash, hash) or address and jid_bare(address) ~= known.account then
			return nil, refuse_token(known.account, ip, id);
		end
		return sender_by(known, address or known.account);
	end
	local mark = forgotten;
	local entry, trouble = tokens:find(id, clock);
	if trouble then
		module:log("error", "Sending tokens cannot be read: %s", trouble.cause);
		return nil, { status = 503; detail = "it cannot be told now whether the token is valid; try again"; retry_after = 5 };
	end
	local account = entry and entry.account.."@"..module.host;
	local right = entry and equals(entry.hash, hash) and (not address or jid_bare(address) == account);
	local active = right and is_active(entry.account, module.host);
	if right and not active and passwords.is_unreadable(entry.account, module.host) then
		return nil, unreadable();
	elseif not active then
		if right or not entry then by_token:set(id, nil); end
		return nil, refuse_token(account or "token:"..id, ip, id);
	end
	tokens:note_use(id, clock);
	older = known or older;
	local rate = entry.rate;
	known = {
		id = id; account = account; hash = hash; expires = entry.expires; as = entry.as; webhook_secret = entry.webhook_secret;
		allowed = older and older.allowed or entry.to and native.allowed(id, entry.to); -- a token is never changed
		admit = rate and function (count) return token_rates.take(id, rate, count); end; senders = {}; count = 0;
	};
	if mark == forgotten then by_token:set(id, known); end
	return sender_by(known, address or account);
end

local function is_loopback(ip)
	return ip == "::1" or ip:find("^127%.") ~= nil or ip:find("^::ffff:127%.") ~= nil;
end

local function identify(exchange) --> sender, problem, headers
	local request = exchange.request;
	-- Gotify's clients have a header of their own for their token.
	local authorization, query, key = request.headers.authorization, request.url.query, request.headers.x_gotify_key;
	local kind, what, hash, address;
	if authorization or query or key then
		kind, what, hash, address = native_host.identify(authorization, query, key, request.ip);
	end
	if not kind or kind == "nothing" then
		local problem, headers = unauthorized("credentials are needed: an account's address and password, or a sending token,"
			.." as in: curl -u user@example.com:password");
		problem.missing = true;
		return nil, problem, headers;
	elseif config.require_encryption and not request.secure and not is_loopback(request.ip) then
		return nil, { status = 403; detail = "credentials are taken over HTTPS only (post_msg_require_encryption)" };
	elseif kind == "several" then
		return nil, { status = 400; detail = "the request has two different credentials; send one" };
	elseif kind == "token" and config.auth_mechanisms:contains("Token") then
		return check_sending_token(what, hash, address, request.ip);
	elseif kind == "token" or kind == "bearer" then
		return check_bearer(what, request.ip);
	elseif not authorization then
		return nil, refuse_token("(token)", request.ip);
	elseif not config.auth_mechanisms:contains("Basic") then
		return nil, unauthorized("this server takes no passwords; send a token (Bearer)");
	elseif kind == "nobody" then
		return nil, not_authorized();
	elseif kind == "throttled" then
		return nil, too_many(what);
	end
	local attempt = kind == "attempt" and what;
	address = not attempt and what;
	local known = address and senders:get(address);
	if known and hosts[known.host] then
		return known;
	elseif attempt then
		local _, account;
		address, _, _, account = attempt:sender();
		local right, seconds, is_unreadable = passwords.verify(attempt, request, recheck_of(account));
		if seconds then
			return nil, too_many(seconds);
		elseif right == nil then
			if is_unreadable then return nil, unreadable(); end
			return nil, busy();
		elseif not right then
			local problem, headers = not_authorized();
			return nil, failed(problem, account, request.ip), headers;
		end
	elseif not hosts[jid_host(address)] then
		return nil, not_authorized();
	end
	local sender, problem = sender_of(address);
	senders:set(address, sender);
	return sender, problem;
end

-- A token that was made with the secret of a webhook sends only what is signed with it.
local function check_signature(sender, exchange) --> problem, headers
	local signature = native.signature(sender.webhook_secret, exchange.headers);
	local at = 0;
	repeat
		at = signature:add(exchange.body, at);
		if at and not scheduler.breathe(sender.account) then return problems.new("unloaded"); end
	until not at;
	if signature:right() then return nil; end
	local problem, headers = refuse_token(sender.account, exchange.ip, sender.token);
	if problem.status == 401 then
		problem.detail = "the webhook's signature (X-Hub-Signature-256, X-Gitea-Signature or X-Gitlab-Token) is missing, or not made with"
			.." the secret of token "..sender.token;
	end
	return problem, headers;
end

-- How the metrics call what makes credentials no good, by the status that it is answered with.
local result_words = { [400] = "ambiguous"; [401] = "wrong"; [403] = "forbidden"; [429] = "throttled"; [503] = "unavailable" };

-- The sender of a request: { address, account, username, host, resource, role }; by a sending token also
-- { token, allowed, as, admit, webhook_secret }: its id, to whom alone it may send, the one format, a function that takes
-- how many messages are to be sent and gives a problem where that is too many, and what its requests are signed with.
local function authenticate(exchange) --> sender; or nil, problem
	local sender, problem, headers = identify(exchange);
	if sender and sender.webhook_secret and exchange.body then
		problem, headers = check_signature(sender, exchange);
	end
	count_credentials(1, not problem and "accepted" or problem.missing and "missing" or result_words[problem.status]);
	if problem then
		problem.headers = headers;
		return nil, problem;
	end
	return sender;
end

if module.may then -- COMPAT 0.12 has no permissions of roles
	module:default_permission("prosody:registered", ":post-message");
end
for _, event in ipairs {
	"user-password-changed", "user-deleted", "user-disabled", "user-role-changed";
	"user-roles-changed"; -- COMPAT 0.12
} do
	module:hook_global(event, forget);
end
module:hook_global("user-deleted", function (event)
	if event.host == module.host then tokens:forget_account(event.username); end
end);

return {
	authenticate = authenticate; deriving = passwords.deriving; forget_tokens = forget_tokens; is_active = is_active; permitted = permitted;
};
