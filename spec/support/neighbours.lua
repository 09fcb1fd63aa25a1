-- Two Prosodys on loopback that speak s2s with each other, without DNS: example.com, the Prosody of
-- spec.support.world, and another one with its own world. They use certificates that they verify, or no TLS.

local socket = require "socket";

local neighbours = {};

-- > a free port, and a socket that listens on it
function neighbours.free_port()
	local listener = assert(socket.bind("127.0.0.1", 0));
	local _, port = listener:getsockname();
	return port, listener;
end

-- A certificate authority's certificate for each domain. > a folder with DOMAIN.crt, DOMAIN.key and ca.crt
function neighbours.certify(domains)
	local script = [[set -e; cd "$(mktemp -d)"
		new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
		openssl req -x509 $new -keyout ca.key -out ca.crt -days 2 -subj "/CN=Authority"
		for domain in %s; do
			echo "subjectAltName=DNS:$domain" >extensions
			openssl req -new $new -keyout $domain.key -out request -subj "/CN=$domain"
			openssl x509 -req -in request -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out $domain.crt
		done
		pwd]];
	local pipe = assert(io.popen("{ " .. script:format(table.concat(domains, " ")) .. "; } 2>/dev/null"));
	local folder = pipe:read("*a"):match("[^\n]+");
	pipe:close();
	return assert(folder, "openssl has made no certificates");
end

-- These options replace the defaults of spec.support.world and the defaults below.
local function verify(options, folder)
	options.files = options.files or {};
	local function add(path, name)
		local file = assert(io.open(folder .. "/" .. name, "rb"));
		options.files["certs/" .. path] = file:read("*a");
		file:close();
	end
	add("authority/ca.crt", "ca.crt");
	options.extra = options.extra .. [[
s2s_require_encryption = true
s2s_secure_auth = true
ssl = { cafile = "certs/authority/ca.crt" }
]];
	for domain, host in pairs(options.hosts) do
		if not options.files["certs/" .. domain .. ".crt"] then
			add(domain .. ".crt", domain .. ".crt");
			add(domain .. ".key", domain .. ".key");
		end
		host.lines = (host.lines or "") .. " modules_disabled = { 'dialback' }";
		table.insert(host.modules, "tls");
	end
	return options;
end

local function with_s2s(options, port, names, certificates)
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
	return certificates and verify(options, certificates) or options;
end

-- Starts both. `here` and `there` are options for world.start, with `names`: the domains at which the other one reaches it.
-- silent.example accepts connections and says nothing; no other domain exists. With `certificates`, a folder that `certify`
-- has made, each accepts only servers with a certificate of this authority.
-- `neighbours.port` is the s2s port of the other one. > the world of the other one; the caller must stop both worlds
function neighbours.start(world, here, there, certificates)
	local remote = loadfile(assert(package.searchpath("spec.support.world", package.path)))();
	remote.password["carol@remote.example"] = "p4ss-of-carol";
	local port_here, listener_here = neighbours.free_port();
	local port_there, listener_there = neighbours.free_port();
	local silent;
	silent, neighbours.silent = neighbours.free_port();
	neighbours.port = port_there;
	listener_here:close();
	listener_there:close();
	local names_here, names_there = here.names, there.names;
	here.names, there.names = nil, nil;
	local reached_here, reached_there = { ["silent.example"] = silent }, {};
	for _, name in ipairs(names_there) do reached_here[name] = port_there; end
	for _, name in ipairs(names_here) do reached_there[name] = port_here; end
	world.start(with_s2s(here, port_here, reached_here, certificates));
	remote.start(with_s2s(there, port_there, reached_there, certificates));
	return remote;
end

return neighbours;
