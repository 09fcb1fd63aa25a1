-- Who sends: credentials, checked against the virtual host's own backend.

local cache = require "util.cache";
local jid_bare = require "util.jid".bare;
local jid_host = require "util.jid".host;
local jid_prep = require "util.jid".prep;
local jid_split = require "util.jid".split;
local saslprep = require "util.encodings".stringprep.saslprep;
local usermanager = require "core.usermanager";

local hosts = prosody.hosts;
local unpack = table.unpack or unpack; -- COMPAT Lua 5.1

local settings, core, waiting; -- given to init

-- address → a sender whose permission was looked at when its password was
local senders = cache.new(1000);

local function tokenauth()
	local tokens = hosts[module.host].modules.tokenauth;
	return settings.auth_mechanisms:contains("Bearer") and tokens or nil;
end

-- Refusals

local function unauthorized(detail)
	local challenges = {};
	if settings.auth_mechanisms:contains("Basic") then
		table.insert(challenges, ("Basic realm=\"%s\", charset=\"UTF-8\""):format(module.host));
	end
	if tokenauth() then
		table.insert(challenges, ("Bearer realm=\"%s\""):format(module.host));
	end
	return { status = 401; detail = detail },
		{ www_authenticate = challenges[1] and table.concat(challenges, ", ") or ("Bearer realm=\"%s\""):format(module.host) };
end

local function not_authorized()
	return unauthorized("the address or password is wrong; or it is no account of this server, or a disabled one");
end

local function busy()
	return { status = 503; detail = "too many passwords wait to be verified; try again in a moment" }, { retry_after = "1" };
end

-- A line that fail2ban's rules for Prosody know.
local function failed(account, ip)
	module:log("info", "Failed authentication attempt (not-authorized) for user %s from IP: %s", account, ip);
end

-- Passwords

local scram = { scram_sha_1 = "SHA-1"; scram_sha_256 = "SHA-256" };

-- What a backend holds of a user's password, as strings: the same as before, and the password is
-- the same. Nothing where it does not tell.
local function held_by(handler, user, host) --> { what it holds }, the hash where it is derived
	local profile = handler.profile or {};
	for name, hash in pairs(scram) do
		if profile[name] then
			local stored_key, _, iterations, salt, enabled = profile[name](handler, user);
			if stored_key and salt and iterations and enabled then
				return { hash, stored_key, salt, ("%d"):format(iterations) }, hash;
			end
			return nil, hash;
		end
	end
	if profile.plain then
		local password, enabled = profile.plain(handler, user, host);
		return password and enabled and { "plain", password } or nil;
	end
end

local function verify_derived(attempt, request, host, hash, held) --> boolean, or nil where it was given up
	local prepared = saslprep(attempt:password());
	if not prepared or prepared == "" then
		return false;
	end
	local stored_key, salt, iterations;
	if held then
		stored_key, salt, iterations = held[2], held[3], tonumber(held[4]);
	else
		iterations = module:context(host):get_option_number("default_iteration_count", 10000);
	end
	local ticket, seconds = attempt:derive(prepared, hash, stored_key, salt, iterations);
	if seconds then
		waiting.sleep(math.max(seconds, waiting.refusal_delay()));
		request.delayed = true;
		return false;
	elseif ticket and waiting.await(ticket) then
		return attempt:derived();
	end
end

local function verify_plain(attempt, handler, user)
	attempt:count();
	if not handler:mechanisms().PLAIN or not handler:select("PLAIN") then
		return false;
	end
	return handler:process("\0"..user.."\0"..attempt:password()) == "success";
end

local function verify(attempt, request) --> boolean, or nil where it was given up; seconds to wait
	local seconds = attempt:wait();
	if seconds and not attempt:is_remembered() then
		return false, seconds;
	end
	local _, user, host = attempt:sender();
	local served = hosts[host];
	if not served or served.type ~= "local" then
		return false;
	end
	local session = { type = "c2s_unauthed"; host = host; ip = request.ip; secure = request.secure; conn = request.conn; log = module._log };
	local handler = usermanager.get_sasl_handler(host, session);
	local held, hash = held_by(handler, user, host);
	if held and attempt:holds(unpack(held)) then
		return true;
	elseif seconds then
		return false, seconds;
	elseif hash then
		return verify_derived(attempt, request, host, hash, held);
	end
	return verify_plain(attempt, handler, user);
end

-- How many seconds a password of an account is trusted: what its own host says of it.
local function recheck_of(account) --> number
	local host = jid_host(account);
	local seconds = host ~= module.host and tonumber(module:context(host):get_option("post_msg_credential_recheck"));
	return seconds or settings.credential_recheck;
end

local function forget(event)
	local account = event.username.."@"..event.host;
	core.forget(account);
	for address in senders:items() do
		if jid_bare(address) == account then
			senders:set(address, nil);
		end
	end
end

-- A role belongs to its own host.
local function permitted(account, host, role) --> boolean
	if settings.access and not settings.access:contains(account) and not settings.access:contains(host) then
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

-- Tokens

local function check_token(token)
	local tokens = tokenauth();
	local address, role;
	if not tokens then
		return unauthorized("this server takes no tokens; send an address and password (Basic)");
	elseif rawget(tokens, "get_token_session") then -- a module is its environment, which is strict
		local session = tokens.get_token_session(token);
		if session then
			local info = tokens.get_token_info(token);
			address, role = info and info.jid, session.role;
		end
	else -- COMPAT 0.12
		local info = tokens.get_token_info(token);
		address = info and info.jid;
	end
	address = address and jid_prep(address);
	local user, host = jid_split(address);
	if not user or host ~= module.host then
		return unauthorized("the token is not valid, or not valid any more");
	end
	local provider = usermanager.get_provider(host);
	if not provider.user_exists(user) or (usermanager.user_is_enabled and not usermanager.user_is_enabled(user, host)) then
		return unauthorized("the token is not valid, or not valid any more");
	end
	return nil, nil, sender_of(address, role);
end

local function is_loopback(ip)
	return ip == "::1" or ip:find("^127%.") ~= nil or ip:find("^::ffff:127%.") ~= nil;
end

local function identify(request) --> sender, problem, headers
	local authorization = request.headers.authorization;
	if authorization and settings.require_encryption and not request.secure and not is_loopback(request.ip) then
		return nil, { status = 403; detail = "credentials are taken over HTTPS only (post_msg_require_encryption)" };
	elseif not authorization then
		return nil, unauthorized("an account's address and password are needed, as in: curl -u user@example.com:password");
	end
	local address, attempt, token = core.identify(authorization, request.ip);
	if token then
		local problem, headers, sender, refusal = check_token(token);
		return sender, problem or refusal, headers;
	elseif not settings.auth_mechanisms:contains("Basic") then
		return nil, unauthorized("this server takes no passwords; send a token (Bearer)");
	end
	local known = address and senders:get(address);
	if known and hosts[known.host] then
		return known;
	elseif attempt then
		local _, account;
		address, _, _, account = attempt:sender();
		local right, seconds = verify(attempt, request);
		if seconds then
			return nil, { status = 429; detail = "too many failed attempts; try again in "..seconds.." seconds" },
				{ retry_after = tostring(seconds) };
		elseif right == nil then
			attempt:give_up();
			return nil, busy();
		elseif not right then
			attempt:count();
			failed(account, request.ip);
			return nil, not_authorized();
		end
		attempt:accept(recheck_of(account));
	elseif not address or not hosts[jid_host(address)] then
		return nil, not_authorized();
	end
	local sender, problem = sender_of(address);
	senders:set(address, sender);
	return sender, problem;
end

-- The sender of a request: { address, account, username, host, resource, role }.
local function authenticate(request) --> sender, problem, headers
	local sender, problem, headers = identify(request);
	if problem and not request.delayed then
		local seconds = waiting.refusal_delay();
		if seconds > 0 then waiting.pause(request.conn, seconds); end
	end
	return sender, problem, headers;
end

local function init(the_settings, the_core, the_waiting)
	settings, core, waiting = the_settings, the_core, the_waiting;
	if module.may then -- COMPAT 0.12 has no permissions of roles
		module:default_permission("prosody:registered", ":post-message");
	end
	for _, event in ipairs {
		"user-password-changed", "user-deleted", "user-disabled", "user-role-changed";
		"user-roles-changed"; -- COMPAT 0.12
	} do
		module:hook_global(event, forget);
	end
	return { authenticate = authenticate };
end

return init;
