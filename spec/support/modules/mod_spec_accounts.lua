-- Creates the accounts named in the host's configuration: spec_accounts = { user = "password" }

local usermanager = require "core.usermanager";

for username, password in pairs(module:get_option("spec_accounts", {})) do
	if not usermanager.user_exists(username, module.host) then
		assert(usermanager.create_user(username, password, module.host));
	end
end
