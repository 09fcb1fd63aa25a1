-- The accounts of the hosts of this server.

local datamanager = require "util.datamanager";
local usermanager = require "core.usermanager";

local longest_file_name = 255; -- bytes

local accounts = {};

local function is_enabled(user, host) --> boolean
	if not usermanager.user_is_enabled then return true; end -- COMPAT 0.12 disables no accounts
	local enabled, err = usermanager.user_is_enabled(user, host);
	-- COMPAT 13.0: a backend that cannot disable accounts returns this error for each.
	return enabled or err == "method not implemented" or err == "method not supported";
end

function accounts.is_active(user, host) --> boolean
	return usermanager.get_provider(host).user_exists(user) and is_enabled(user, host);
end

-- Whether the storage cannot be read now: backends that keep accounts there take an account for missing then.
function accounts.is_unreadable(user, host) --> boolean
	-- A name that is too long for a file system cannot be read either, and no account has it.
	if #datamanager.getpath(user, host, "accounts"):match("[^/]*$") > longest_file_name then return false; end
	local account, err = module:context(host):open_store("accounts"):get(user);
	return not account and err ~= nil;
end

return accounts;
