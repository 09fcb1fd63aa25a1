-- The accounts of the hosts of this server.

local server = module.import "prosody";

local longest_file_name = 255; -- bytes

local accounts = {};

function accounts.is_active(username, host) --> boolean
	return server.has_account(host, username) and server.is_account_enabled(host, username);
end

-- Whether the storage cannot be read now. A backend that keeps its accounts there then says that the account is missing.
function accounts.is_unreadable(username, host) --> boolean
	-- A name that is too long for a file system cannot be read either, and no account has it.
	if #server.path_of_entry(host, "accounts", username):match("[^/]*$") > longest_file_name then return false; end
	local account, err = module:context(host):open_store("accounts"):get(username);
	return not account and err ~= nil;
end

return accounts;
