-- Whether a password is right, by the account's own backend.

local datamanager = require "util.datamanager";
local saslprep = require "util.encodings".stringprep.saslprep;
local now = require "util.time".monotonic;
local usermanager = require "core.usermanager";

local counters = module.import "counters";
local metrics = module.import "metrics";
local scheduler = module.import "scheduler";
local workers = module.import "workers";

local hosts = prosody.hosts;

local time_derivation = metrics.histogram("derivation");
local longest_file_name = 255; -- bytes
local deriving = workers.new(); -- requests whose passwords are derived, or wait for it

local scram = { scram_sha_1 = "SHA-1"; scram_sha_256 = "SHA-256" };

-- What a backend holds of a user's password, as attempt:begin takes it; nil if the backend does not show it.
local function held_by(handler, user, host) --> held, the hash of a backend with SCRAM
	local profile = handler.profile or {};
	for name, hash in pairs(scram) do
		if profile[name] then
			local stored_key, _, iterations, salt, enabled = profile[name](handler, user);
			if stored_key and salt and iterations and enabled then
				return { hash = hash; stored_key = stored_key; salt = salt; iterations = iterations }, hash;
			end
			return nil, hash;
		end
	end
	if profile.plain then
		local password, enabled = profile.plain(handler, user, host);
		return password and enabled and { plain = password } or nil;
	end
end

-- Whether the storage cannot tell now of an account: backends that keep accounts there take it for missing then.
local function is_unreadable(user, host) --> boolean
	-- None has a name that is too long for a file system, which cannot be read either.
	if #datamanager.getpath(user, host, "accounts"):match("[^/]*$") > longest_file_name then return false; end
	local account, err = module:context(host):open_store("accounts"):get(user);
	return not account and err ~= nil;
end

-- The rounds of a new account's password, as mod_auth_internal_hashed has them.
local function default_iterations(host) --> number
	local configured = module:context(host):get_option_number("default_iteration_count", 10000);
	if not module.get_option_integer then return configured; end -- COMPAT 0.12 takes any number
	return math.floor(math.max(configured, 4096));
end

-- Waits for a derivation.
local function await_derivation(attempt, ticket, recheck) --> boolean, or nil if the derivation was dropped
	local begun = now();
	deriving.enter();
	scheduler.await(ticket);
	deriving.leave();
	time_derivation(now() - begun);
	return attempt:finish(recheck);
end

local function test_plain(attempt, handler, user) --> boolean
	if not handler:mechanisms().PLAIN or not handler:select("PLAIN") then
		return false;
	end
	return handler:process("\0"..user.."\0"..attempt:password()) == "success";
end

-- Verifies a password; a right one needs no other look at the backend for `recheck` seconds.
-- Returns nil if the verdict is not known. Then the third value says whether the account cannot be read.
local function verify(attempt, request, recheck) --> boolean or nil, seconds to wait, boolean
	local _, user, host = attempt:sender();
	local served = hosts[host];
	local handler, held, hash, is_known;
	if served and served.type == "local" then
		local session = { type = "c2s_unauthed"; host = host; ip = request.ip; secure = request.secure; conn = request.conn; log = module._log };
		handler = usermanager.get_sasl_handler(host, session);
		held, hash = held_by(handler, user, host);
		if hash then
			is_known = held ~= nil;
			if not is_known and is_unreadable(user, host) then return nil, nil, true; end
			local prepared = saslprep(attempt:password());
			if prepared and prepared ~= "" then
				-- The password of an unknown account is derived too, so that the time of the answer does not show which accounts exist.
				held = held or { hash = hash; iterations = default_iterations(host) };
				held.prepared = prepared;
			else
				held = nil;
			end
		end
	end
	local begun, detail = attempt:begin(recheck, held);
	if begun == "accepted" then return true; end
	if is_known then is_unreadable(user, host); end -- takes time, as for an unknown account
	if begun == "throttled" then
		return false, detail;
	elseif begun == "busy" then
		return nil;
	elseif begun == "deriving" then
		return await_derivation(attempt, detail, recheck);
	elseif not handler or hash then
		return attempt:finish(recheck, false);
	elseif test_plain(attempt, handler, user) then
		return attempt:finish(recheck, true);
	elseif (handler.profile or {}).plain and is_unreadable(user, host) and not held then
		-- A backend that only tests passwords keeps its accounts elsewhere.
		attempt:finish(recheck);
		return nil, nil, true;
	end
	return attempt:finish(recheck, false);
end

counters.register("derivations", deriving.count);

return { verify = verify; is_unreadable = is_unreadable; deriving = deriving.count };
