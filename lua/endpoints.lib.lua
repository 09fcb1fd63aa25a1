-- Endpoints: the URLs at which a host's module, or an upload service, should be reached by the configuration. For the commands of
-- prosodyctl.
--
-- An endpoint is { url, way, name, port, host_header }. `way` is "external" (http_external_url), "https", "plain" (not encrypted), or "local"
-- (not encrypted, from this machine only). `host_header` is set if `url` does not name the host.

local client = module.import "http_client";
local http_settings = module.import "http_settings";
local is_loopback = module.import "loopback";
local server = module.import "prosody";

local endpoints = {};

-- The host of a URL (RFC 3986, section 3.2.2): a name or an IP address.
local function in_url(name) --> text
	return name:find(":", 1, true) and "["..name.."]" or name;
end

local function new_endpoint(way, scheme, name, port, path) --> endpoint
	local shown_port = port ~= http_settings.default_ports[scheme] and ":"..port or "";
	return { way = way; name = name; port = port; url = ("%s://%s%s%s"):format(scheme, in_url(name), shown_port, path) };
end

local function external_endpoint(host, app) --> endpoint, or nil
	local url = http_settings.external_url(host);
	if not url then return nil; end
	local path = url.path:gsub("/*$", "")..server.base_path(host, app);
	return new_endpoint(url.scheme == "https" and "external" or "plain", url.scheme, url.host, url.port, path);
end

-- The address by which this machine reaches plain HTTP, and whether no other machine can use the address.
local function own_address() --> text, boolean
	local any = { ["*"] = "127.0.0.1"; ["0.0.0.0"] = "127.0.0.1"; ["::"] = "::1" };
	local interfaces = http_settings.plain_interfaces();
	for _, interface in ipairs(interfaces) do
		local address = any[interface] or interface;
		if is_loopback(address) then return address, true; end
	end
	return interfaces[1] or "127.0.0.1", false;
end

-- For programs on other machines, the best URL first; the last URL is for this machine.
function endpoints.of_host(host) --> list, not empty
	local name, path = http_settings.ascii_name(host), server.base_path(host);
	local list = { external_endpoint(host) };
	for _, port in ipairs(http_settings.ports "https") do
		list[#list + 1] = new_endpoint("https", "https", name, port, path);
	end
	local port = http_settings.ports("http")[1];
	local address, is_local = own_address();
	if port and name == "localhost" and is_local then
		list[#list + 1] = new_endpoint("local", "http", name, port, path);
	elseif port then
		if name ~= "localhost" and http_settings.serves_plain_http_to_others() then
			list[#list + 1] = new_endpoint("plain", "http", name, port, path);
		end
		local endpoint = new_endpoint(is_local and "local" or "plain", "http", address, port, path);
		endpoint.host_header = http_settings.name(host);
		list[#list + 1] = endpoint;
	end
	return list[1] and list or { new_endpoint("https", "https", name, 5281, path) };
end

-- The URL to enter in a program that cannot send another Host header.
function endpoints.url(host) --> text
	local first = endpoints.of_host(host)[1];
	if not first.host_header then return first.url; end
	return new_endpoint("plain", "http", http_settings.ascii_name(host), first.port, server.base_path(host)).url;
end

-- The URL that mod_http_file_share gives to clients.
function endpoints.of_uploads(host) --> endpoint
	local tls_port, path = http_settings.ports("https")[1], server.base_path(host, "file_share");
	return external_endpoint(host, "file_share")
		or new_endpoint("https", tls_port and "https" or "http", http_settings.ascii_name(host), tls_port or http_settings.ports("http")[1], path);
end

-- Sends a request to a URL below an endpoint: { method, headers, body, timeout }, as http_client's `request`.
function endpoints.request(endpoint, suffix, options) --> { status, headers, body }; or nil, fault
	local headers = { host = endpoint.host_header };
	for name, value in pairs(options.headers or {}) do headers[name] = value; end
	return client.request({
		method = options.method; url = endpoint.url..suffix; headers = headers; body = options.body; timeout = options.timeout;
	});
end

-- Whether this module answers at an endpoint: with its media types to OPTIONS, or, if a proxy answers OPTIONS itself, with its description.
function endpoints.try(endpoint) --> true; or nil, fault
	local answer, fault = endpoints.request(endpoint, "", { method = "OPTIONS" });
	if not answer then return nil, fault; end
	if (answer.headers["accept-post"] or ""):find("application/x-ndjson", 1, true) then return true; end
	local description = endpoints.request(endpoint, "/openapi.json", { method = "GET" });
	if description and description.body:find('"title":%s*"mod_post_msg"') then return true; end
	local step = "foreign";
	if endpoint.way == "external" and (answer.status == 502 or answer.status == 503 or answer.status == 504) then
		step = "unserved";
	elseif answer.status == 404 and (endpoint.way == "local" or endpoint.host_header) then
		step = "unloaded";
	end
	return nil, { step = step; detail = tostring(answer.status) };
end

-- Whether Prosody takes requests to an endpoint as encrypted, on a host that refuses credentials without encryption. Two different credentials
-- are refused in any case, and do not count as a failed attempt.
function endpoints.is_encrypted(endpoint) --> true; or nil, fault
	local headers = { authorization = "Bearer one"; ["x-gotify-key"] = "another"; accept = "text/plain" };
	local answer = endpoints.request(endpoint, "", { method = "POST"; headers = headers; body = "" });
	if answer and answer.status == 403 and answer.body:find("post_msg_require_encryption", 1, true) then
		return nil, { step = "unencrypted"; detail = "403" };
	end
	return true;
end

-- Whether mod_http_file_share answers at an endpoint.
function endpoints.try_uploads(endpoint) --> true; or nil, fault
	local answer, fault = endpoints.request(endpoint, "/", { method = "GET" });
	if not answer then return nil, fault; end
	if answer.body:find("HTTP Upload endpoint", 1, true) then return true; end
	return nil, { step = "foreign"; detail = tostring(answer.status) };
end

return endpoints;
