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

-- What to write so that a host loads this module. The block is right wherever it stands in the configuration.
function hosts.how_to_load(host) --> text
	if rawget(server.configured_names(host), "modules_enabled") then -- not the global list
		return ("write \"post_msg\"; into the list modules_enabled of VirtualHost \"%s\""):format(host);
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
