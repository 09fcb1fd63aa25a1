-- The settings of Prosody's HTTP server, as mod_http and portmanager read them. For the commands of prosodyctl: no port is open there.

local url_parse = require "socket.url".parse;

local is_loopback = module.import "loopback";
local server = module.import "prosody";

local settings = {};

function settings.list(value) --> list
	if value == nil then return {}; end
	return type(value) == "table" and value or { value };
end

function settings.global(name) --> value
	return server.configured("*", name);
end

-- Ports of "http" or "https".
function settings.ports(service) --> list
	local ports = settings.global(service.."_ports");
	if ports == nil then ports = service == "http" and 5280 or 5281; end
	return settings.list(ports);
end

function settings.serves_http() --> boolean
	return (settings.ports("http")[1] or settings.ports("https")[1]) ~= nil;
end

-- The interfaces of plain HTTP. By default, only this machine can reach them.
function settings.plain_interfaces() --> list
	return settings.list(settings.global("http_interfaces") or settings.global("http_interface") or settings.global("local_interfaces")
		or { "127.0.0.1"; "::1" });
end

function settings.serves_plain_http_to_others() --> boolean
	for _, interface in ipairs(settings.plain_interfaces()) do
		if not is_loopback(interface) then return #settings.ports("http") > 0; end
	end
	return false;
end

function settings.external_url(host) --> as socket.url's parse; nil if it is not set
	local url = server.configured(host, "http_external_url");
	return type(url) == "string" and url_parse(url) or nil;
end

-- The name in the URLs of a host.
function settings.name(host) --> string
	return server.configured(host, "http_host") or host;
end

return settings;
