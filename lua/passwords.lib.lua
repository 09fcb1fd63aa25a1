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
local unpack = table.unpack or unpack; -- COMPAT Lua 5.1

local time_derivation = metrics.histogram("derivation");
local longest_file_name = 255; -- bytes
local deriving = workers.new(); -- requests whose passwords are derived, or wait for it

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

-- The password of an unknown account is derived too, so that the time of the answer does not show which accounts exist.
local function verify_derived(attempt, host, hash, held) --> boolean, or nil where it was given up
	local prepared = saslprep(attempt:password());
	if not prepared or prepared == "" then
		return false;
	end
	local stored_key, salt, iterations;
	if held then
		stored_key, salt, iterations = held[2], held[3], tonumber(held[4]);
	else
		iterations = default_iterations(host);
	end
	local ticket = attempt:derive(prepared, hash, stored_key, salt, iterations);
	if ticket then
		local begun = now();
		deriving.enter();
		local goes_on = scheduler.await(ticket);
		deriving.leave();
		time_derivation(now() - begun);
		if goes_on then return attempt:derived(); end
	end
end

local function verify_plain(attempt, handler, user)
	attempt:count();
	if not handler:mechanisms().PLAIN or not handler:select("PLAIN") then
		return false;
	end
	return handler:process("\0"..user.."\0"..attempt:password()) == "success";
end

local function verify(attempt, request) --> boolean, or nil where it was given up; seconds to wait; whether the account cannot be read
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
	elseif hash and is_unreadable(user, host) and not held then -- looked at in any case: it takes time
		return nil, nil, true;
	elseif seconds then
		return false, seconds;
	elseif hash then
		return verify_derived(attempt, host, hash, held);
	end
	if verify_plain(attempt, handler, user) then return true; end
	-- A backend that only tests passwords keeps its accounts elsewhere.
	if (handler.profile or {}).plain and is_unreadable(user, host) and not held then return nil, nil, true; end
	return false;
end

counters.register("derivations", deriving.count);

return { verify = verify; is_unreadable = is_unreadable; deriving = deriving.count };
