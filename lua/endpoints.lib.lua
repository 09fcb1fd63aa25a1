-- Endpoints: the URLs at which a host's module, or an upload service, should be reached by the configuration. For the commands of
-- prosodyctl.
--
-- An endpoint is { url, way, name, port, host_header }. `way` is "external" (http_external_url), "https", "plain" (unencrypted, by the
-- host's name) or "local" (unencrypted, from this machine only). `host_header` is set if `url` does not name the host.

local client = module.import "http_client";
local http_settings = module.import "http_settings";
local server = module.import "prosody";

local endpoints = {};

local function new_endpoint(way, scheme, name, port, path) --> endpoint
	local shown_port = tonumber(port) ~= client.default_ports[scheme] and ":"..port or "";
	return { way = way; name = name; port = port; url = ("%s://%s%s%s"):format(scheme, name, shown_port, path) };
end

local function external_endpoint(host, app) --> endpoint, or nil
	local url = http_settings.external_url(host);
	if not url or not url.host or not client.default_ports[url.scheme] then return nil; end
	local path = (url.path or ""):gsub("/*$", "")..server.base_path(host, app);
	return new_endpoint("external", url.scheme, url.host, url.port or client.default_ports[url.scheme], path);
end

-- The name or address by which this machine reaches an interface.
local function local_name(interface) --> string
	local any = { ["*"] = "127.0.0.1"; ["0.0.0.0"] = "127.0.0.1"; ["::"] = "::1" };
	local address = any[interface] or interface;
	return address:find(":", 1, true) and "["..address.."]" or address;
end

-- For programs on other machines, the best URL first; the last URL is for this machine.
function endpoints.of_host(host) --> list, not empty
	local name, path = http_settings.name(host), server.base_path(host);
	local list = { external_endpoint(host) };
	for _, port in ipairs(http_settings.ports "https") do
		list[#list + 1] = new_endpoint("https", "https", name, port, path);
	end
	local port = http_settings.ports("http")[1];
	if port and name ~= "localhost" and http_settings.serves_plain_http_to_others() then
		list[#list + 1] = new_endpoint("plain", "http", name, port, path);
	end
	if port and name == "localhost" then
		list[#list + 1] = new_endpoint("local", "http", name, port, path);
	elseif port then
		local endpoint = new_endpoint("local", "http", local_name(http_settings.plain_interfaces()[1] or "127.0.0.1"), port, path);
		endpoint.host_header = name;
		list[#list + 1] = endpoint;
	end
	return list[1] and list or { new_endpoint("https", "https", name, 5281, path) };
end

-- The URL to enter in a program that cannot send another Host header.
function endpoints.url(host) --> text
	local first = endpoints.of_host(host)[1];
	if not first.host_header then return first.url; end
	return new_endpoint("plain", "http", http_settings.name(host), first.port, server.base_path(host)).url;
end

-- The URL that mod_http_file_share gives to clients.
function endpoints.of_uploads(host) --> endpoint
	local tls_port, path = http_settings.ports("https")[1], server.base_path(host, "file_share");
	return external_endpoint(host, "file_share")
		or new_endpoint("https", tls_port and "https" or "http", http_settings.name(host), tls_port or http_settings.ports("http")[1], path);
end

-- Sends a request, with the options of http_client, to a URL below an endpoint.
function endpoints.request(endpoint, suffix, options) --> as http_client's `request`
	options.url = endpoint.url..suffix;
	options.headers = options.headers or {};
	options.headers.host = endpoint.host_header;
	return client.request(options);
end

-- Whether this module answers at an endpoint: no other answer to OPTIONS lists these media types.
function endpoints.try(endpoint) --> true; or nil, fault
	local answer, fault = endpoints.request(endpoint, "", { method = "OPTIONS" });
	if not answer then return nil, fault; end
	if (answer.headers["accept-post"] or ""):find("application/x-ndjson", 1, true) then return true; end
	return nil, { step = "foreign"; detail = tostring(answer.status) };
end

-- Whether mod_http_file_share answers at an endpoint.
function endpoints.try_uploads(endpoint) --> true; or nil, fault
	local answer, fault = endpoints.request(endpoint, "/", { method = "GET" });
	if not answer then return nil, fault; end
	if answer.body:find("HTTP Upload endpoint", 1, true) then return true; end
	return nil, { step = "foreign"; detail = tostring(answer.status) };
end

return endpoints;
