-- Passwords → senders. The backend of the account verifies them.
--
-- The native half verifies a password in two steps, `begin` and `finish` (src/binding/attempt.rs). A password becomes a Lua string,
-- which is never wiped, in two cases only: if the backend tests passwords itself, and for SASLprep of a password that is not ASCII.

local cache = require "util.cache";
local jid_bare = require "util.jid".bare;
local jid_host = require "util.jid".host;
local now = require "util.time".monotonic;

local accounts = module.import "accounts";
local auth_problems = module.import "auth_problems";
local config = module.import "config";
local counters = module.import "counters";
local host = module.import "host";
local metrics = module.import "metrics";
local problems = module.import "problems";
local scheduler = module.import "scheduler";
local senders = module.import "senders";
local server = module.import "prosody";
local workers = module.import "workers";

local hosts = prosody.hosts;

local time_derivation = metrics.histogram("derivation");
local derivations = workers.new(); -- requests whose passwords are derived, or wait for it

counters.register("derivations", derivations.count);

-- address → its sender. Each verification of the password also checks the sender's permission.
local known_senders = cache.new(1000);

local hashes = { scram_sha_1 = "SHA-1"; scram_sha_256 = "SHA-256" }; -- members of a SASL profile → their hash

-- What a backend stores of a user's password, in the form for attempt:begin. The password of an unknown account is derived too, so that
-- the time of the answer does not show which accounts exist.
local function stored_password_of(handler, user, at) --> { hash, stored_key, salt, iterations }, { plain } or {}
	local profile = handler.profile or {};
	for name, hash in pairs(hashes) do
		if profile[name] then
			local stored_key, _, iterations, salt, enabled = profile[name](handler, user);
			if stored_key and salt and iterations and enabled then
				return { hash = hash; stored_key = stored_key; salt = salt; iterations = iterations };
			end
			return { hash = hash; iterations = server.default_iterations(at) };
		end
	end
	local password, enabled;
	if profile.plain then password, enabled = profile.plain(handler, user, at); end
	return { plain = enabled and password or nil };
end

-- The seconds for which a password of an account is trusted: a setting of its own host.
local function recheck_of(at) --> number
	local seconds = at ~= module.host and tonumber(module:context(at):get_option("post_msg_credential_recheck"));
	return seconds or config.credential_recheck;
end

local function verdict(right) --> boolean; or nil, problem
	if right ~= nil then return right; end
	return nil, problems.new("busy", "too many passwords wait to be verified; try again in a moment");
end

local function await_derivation(attempt, ticket) --> boolean; or nil, problem
	local state = now();
	derivations.enter();
	scheduler.await(ticket);
	derivations.leave();
	time_derivation(now() - state);
	return verdict(attempt:finish());
end

-- Lets the backend test the password, if it does not give it to this module.
local function test(attempt, handler, stored) --> boolean; or nil, problem
	local _, user, at = attempt:sender();
	if not handler or stored.hash or not handler:mechanisms().PLAIN or not handler:select("PLAIN") then
		return attempt:finish(false);
	elseif handler:process("\0"..user.."\0"..attempt:password()) == "success" then
		return attempt:finish(true);
	elseif (handler.profile or {}).plain and not stored.plain and accounts.is_unreadable(user, at) then
		-- A backend without a profile does not keep its accounts in this storage.
		attempt:finish();
		return nil, auth_problems.unreadable_account();
	end
	return attempt:finish(false);
end

local function verify(attempt, exchange) --> boolean; or nil, problem
	local _, user, at = attempt:sender();
	local host_session = hosts[at];
	local handler = host_session and host_session.type == "local" and server.new_sasl_handler(at, exchange.request);
	local stored = handler and stored_password_of(handler, user, at) or {};
	local is_unknown = stored.hash and not stored.stored_key;
	if is_unknown and accounts.is_unreadable(user, at) then return nil, auth_problems.unreadable_account(); end
	stored.recheck = recheck_of(at);
	local state, detail = attempt:begin(stored);
	if state == "accepted" then return true; end
	if stored.stored_key then accounts.is_unreadable(user, at); end -- so that the answer takes as long as for an unknown account
	if state == "throttled" then
		return nil, auth_problems.throttled(detail);
	elseif state == "busy" then
		return verdict(nil);
	elseif state == "deriving" then
		return await_derivation(attempt, detail);
	end
	return test(attempt, handler, stored);
end

local function new_sender(address) --> sender; or nil, problem
	local sender, problem = senders.new(address);
	known_senders:set(address, sender);
	return sender, problem;
end

-- The sender of a password that is in the cache.
local function cached_sender(address) --> sender; or nil, problem
	local sender = known_senders:get(address);
	if sender and hosts[sender.host] then
		return sender;
	elseif not hosts[jid_host(address)] then
		return nil, auth_problems.wrong_password();
	end
	return new_sender(address);
end

-- The sender of a password that has to be verified.
local function sender_of(exchange, attempt) --> sender; or nil, problem
	local address, _, _, account = attempt:sender();
	local is_right, problem = verify(attempt, exchange);
	if is_right then
		return new_sender(address);
	elseif is_right == nil then
		return nil, problem;
	end
	return nil, auth_problems.log_failure(auth_problems.wrong_password(), account, exchange.ip);
end

-- Forgets the passwords of an account.
local function forget(account)
	host:forget(account);
	for address in known_senders:items() do
		if jid_bare(address) == account then
			known_senders:set(address, nil);
		end
	end
end

return {
	count_derivations = derivations.count; forget = forget; cached_sender = cached_sender; sender_of = sender_of;
};
