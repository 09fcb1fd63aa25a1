-- The hosts with this module, in the process of prosodyctl.

local loader = module.import "loader";
local server = module.import "prosody";
local settings = module.import "settings";
local token_store = module.import "token_store";

local hosts = {};

-- The names of the hosts, in alphabetical order.
function hosts.names() --> list
	return server.hosts_with(module.name);
end

function hosts.has_module(host) --> boolean
	for _, name in ipairs(hosts.names()) do
		if name == host then return true; end
	end
	return false;
end

function hosts.has_accounts(host) --> boolean
	return server.configured(host, "authentication") ~= "anonymous";
end

-- What to write so that a host loads this module. The section is right wherever it stands in the configuration. It comes last, so that it
-- can be copied.
function hosts.how_to_load(host) --> text
	local own = server.own_settings(host);
	for _, name in ipairs(type(own.modules_disabled) == "table" and own.modules_disabled or {}) do
		if name == module.name then return ("delete \"post_msg\" from modules_disabled of VirtualHost \"%s\""):format(host); end
	end
	if own.modules_enabled then
		return ("write \"post_msg\"; into the list modules_enabled of VirtualHost \"%s\" (if it has several lists, into the last)"):format(host);
	end
	return ("write at the end of %s: VirtualHost \"%s\" { modules_enabled = { \"post_msg\" } }"):format(prosody.config_file, host);
end

function hosts.settings(host) --> settings
	return settings.load(module:context(host), loader.stop);
end

function hosts.tokens(host) --> store of tokens, or nil if the host does not have this module
	if not hosts.has_module(host) then return nil; end
	server.initialize_host(host);
	return token_store.new(module:context(host), { new_token = loader.load().new_token; limit = hosts.settings(host).token_limit });
end

-- The templates of a host.
function hosts.templates(host) --> templates
	return loader.load().templates(hosts.settings(host).templates);
end

return hosts;
