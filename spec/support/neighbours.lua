-- Two Prosodys on loopback that speak s2s with each other, without DNS and TLS: example.com, which spec.support.world is
-- about, and remote.example with a world of its own.

local socket = require "socket";

local neighbours = {};

local function free_port()
	local listener = assert(socket.bind("127.0.0.1", 0));
	local _, port = listener:getsockname();
	return port, listener;
end

local function with_s2s(options, port, names)
	local entries = {};
	for name, its_port in pairs(names) do entries[#entries + 1] = ("[%q] = %d"):format(name, its_port); end
	options.s2s = true;
	options.extra = (options.extra or "") .. ([[

s2s_interfaces = { "127.0.0.1" }
s2s_ports = { %d }
s2s_direct_tls_ports = {}
s2s_require_encryption = false
s2s_secure_auth = false
use_dane = false
spec_names = { %s }
]]):format(port, table.concat(entries, ", "));
	for _, host in pairs(options.hosts) do
		host.modules = host.modules or { "post_msg" };
		table.insert(host.modules, "dialback");
		table.insert(host.modules, "spec_names");
	end
	return options;
end

-- Starts both. `here` and `there` are options for world.start, with `names`, the domains that the other one reaches there.
-- silent.example accepts connections and says nothing; no other domain exists.
-- > the world of remote.example, which is to be stopped like the first
function neighbours.start(world, here, there)
	local remote = loadfile(assert(package.searchpath("spec.support.world", package.path)))();
	remote.password["carol@remote.example"] = "p4ss-of-carol";
	local port_here, listener_here = free_port();
	local port_there, listener_there = free_port();
	local silent;
	silent, neighbours.silent = free_port();
	listener_here:close();
	listener_there:close();
	local names_here, names_there = here.names, there.names;
	here.names, there.names = nil, nil;
	local reached_here, reached_there = { ["silent.example"] = silent }, {};
	for _, name in ipairs(names_there) do reached_here[name] = port_there; end
	for _, name in ipairs(names_here) do reached_there[name] = port_here; end
	world.start(with_s2s(here, port_here, reached_here));
	remote.start(with_s2s(there, port_there, reached_there));
	return remote;
end

return neighbours;
