-- The settings of Prosody's HTTP server, as mod_http and portmanager read them. For the commands of prosodyctl: no port is open there.

local ip = require "util.ip";
local idna_to_ascii = require "util.encodings".idna.to_ascii;
local local_addresses = require "util.net".local_addresses;
local url_parse = require "socket.url".parse;

local new_ip, match_ip, parse_cidr = ip.new_ip, ip.match, ip.parse_cidr;

local is_loopback = module.import "loopback";
local server = module.import "prosody";

local settings = {};

settings.default_ports = { http = 80; https = 443 };

function settings.list(value) --> list
	if value == nil then return {}; end
	return type(value) == "table" and value or { value };
end

function settings.global(name) --> value
	return server.configured("*", name);
end

-- The ports of "http" or "https" as they are configured.
function settings.configured_ports(service) --> list
	return settings.list(settings.global(service.."_ports") or (service == "http" and 5280 or 5281));
end

function settings.ports(service) --> list of numbers
	local ports = {};
	for _, port in ipairs(settings.configured_ports(service)) do ports[#ports + 1] = tonumber(port); end
	return ports;
end

function settings.serves_http() --> boolean
	return (settings.ports("http")[1] or settings.ports("https")[1]) ~= nil;
end

-- The interfaces of plain HTTP. By default, only this machine can reach them.
function settings.plain_interfaces() --> list of texts
	local configured = settings.global("http_interfaces") or settings.global("http_interface") or settings.global("local_interfaces");
	local interfaces = {};
	for index, interface in ipairs(settings.list(configured or { "127.0.0.1"; "::1" })) do interfaces[index] = tostring(interface); end
	return interfaces;
end

function settings.serves_plain_http_to_others() --> boolean
	for _, interface in ipairs(settings.plain_interfaces()) do
		if not is_loopback(interface) then return #settings.ports("http") > 0; end
	end
	return false;
end

function settings.external_url(host) --> { scheme, host, port, path }; nil if it is not set, or is no HTTP URL
	local value = server.configured(host, "http_external_url");
	local url = type(value) == "string" and url_parse(value);
	local scheme = url and url.host and url.scheme and url.scheme:lower();
	local default_port = scheme and settings.default_ports[scheme];
	if not default_port then return nil; end
	return { scheme = scheme; host = url.host; port = tonumber(url.port) or default_port; path = url.path or "" };
end

-- The name to which a host answers.
function settings.name(host) --> text
	return server.configured(host, "http_host") or host;
end

-- The name as HTTP clients send it (RFC 5891, section 4). mod_http does not compare it in this form.
function settings.ascii_name(host) --> text
	local name = settings.name(host);
	return idna_to_ascii(name) or name;
end

local function trusts(address) --> boolean
	for _, trusted in ipairs(settings.list(settings.global("trusted_proxies") or { "127.0.0.1"; "::1" })) do
		local ok, is_trusted = pcall(function () return match_ip(new_ip(address), parse_cidr(trusted)); end); -- a wrong value raises an error
		if ok and is_trusted then return true; end
	end
	return false;
end

-- Whether Prosody believes the X-Forwarded-For of a proxy with an address of this machine.
function settings.trusts_this_machine() --> boolean
	if trusts("127.0.0.1") or trusts("::1") then return true; end
	for _, address in ipairs(local_addresses() or {}) do
		if trusts(address) then return true; end
	end
	return false;
end

return settings;
