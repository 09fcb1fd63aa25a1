-- Instead of DNS: spec_names = { ["domain"] = port } on 127.0.0.1 for connections to other servers. Any other name
-- does not exist, or with spec_names_or_dns = true is looked up.

module:set_global();

local basic = require "net.resolvers.basic";
local service = require "net.resolvers.service";

local names = module:get_option("spec_names", {});

local or_dns, look_up = module:get_option_boolean("spec_names_or_dns"), service.new;

local nowhere = {};
nowhere.__index = nowhere;

function nowhere.next(_, callback)
	callback(nil);
end

function service.new(domain, name, conn_type, extra)
	local port = names[domain];
	if not port and or_dns then return look_up(domain, name, conn_type, extra); end
	if not port or extra and extra.default_port == false then
		return setmetatable({ hostname = domain, last_error = "NXDOMAIN" }, nowhere);
	end
	return basic.new("127.0.0.1", port, conn_type, extra);
end
