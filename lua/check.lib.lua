-- `prosodyctl mod_post_msg check`: checks a configuration. For each problem, it says what to do.

local lfs = require "lfs";
local url_parse = require "socket.url".parse;

local is_loopback = module.import "loopback";
local loader = module.import "loader";
local server = module.import "prosody";
local settings = module.import "settings";

local lua_version = _VERSION:match("%d+%.%d+");

-- A list of { kind, sentence }. The kind "problem" is a setting that does not work or is not safe; the kind "note" may be intended.
local list_of_findings = {};
list_of_findings.__index = list_of_findings;

local function new_findings() --> findings
	return setmetatable({}, list_of_findings);
end

function list_of_findings:problem(sentence, ...)
	table.insert(self, { kind = "problem"; sentence = sentence:format(...) });
end

function list_of_findings:note(sentence, ...)
	table.insert(self, { kind = "note"; sentence = sentence:format(...) });
end

-- The configuration

local function global(name)
	return server.configured("*", name);
end

local function list(value) --> list
	if value == nil then return {}; end
	return type(value) == "table" and value or { value };
end

local function set_of(items) --> { item → true }
	local set = {};
	for _, item in ipairs(items) do set[item] = true; end
	return set;
end

-- Ports of "http" or "https", by the rules of Prosody's portmanager.
local function ports_of(service) --> list
	local ports = global(service.."_ports");
	if ports == nil then ports = service == "http" and 5280 or 5281; end
	return list(ports);
end

-- Whether plain HTTP is served to other machines. By default it is not.
local function serves_plain_http_to_others() --> boolean
	local interfaces = global("http_interfaces") or global("http_interface") or global("local_interfaces") or { "127.0.0.1" };
	for _, interface in ipairs(list(interfaces)) do
		if not is_loopback(interface) then return #ports_of("http") > 0; end
	end
	return false;
end

local function external_url_of(host) --> as url_parse; nil if it is not set
	local url = server.configured(host, "http_external_url");
	return type(url) == "string" and url_parse(url) or nil;
end

-- The name in the URL of a host.
local function http_host_of(host) --> string
	return server.configured(host, "http_host") or host;
end

-- Files

-- Where Prosody's pluginloader looks for mod_post_msg.lua below a plugin path.
local places = {
	"mod_post_msg/post_msg/mod_post_msg.lua"; "mod_post_msg/mod_post_msg.lua"; "post_msg/mod_post_msg.lua"; "mod_post_msg.lua";
	"share/lua/"..lua_version.."/mod_post_msg.lua"; "share/lua/"..lua_version.."/mod_post_msg/mod_post_msg.lua";
};

local function find_copies() --> list of paths, each once; Prosody loads the first
	local copies = {};
	for path in prosody.paths.plugins:gmatch("[^;]+") do
		for _, place in ipairs(places) do
			local file = path:gsub("/*$", "/")..place;
			if lfs.attributes(file, "mode") == "file" and file ~= copies[1] then copies[#copies + 1] = file; end
		end
	end
	return copies;
end

local function check_copies(findings)
	local copies = find_copies();
	for index = 2, #copies do
		findings:problem("There is another mod_post_msg, %s (%s), which is not used, because Prosody finds %s first; remove one of them",
			copies[index], loader.describe(copies[index]:match("^(.*)/")), copies[1]);
	end
end

local function check_library(findings) --> the native half, or nil
	local ok, result = pcall(loader.load);
	if ok then return result; end
	findings:problem("%s", tostring(result));
end

-- Settings

-- A section of the configuration: a host, or "*".
local function check_names_of_settings(findings, section)
	local names = {};
	for index, setting in ipairs(settings.declarations) do names[index] = "post_msg_"..setting.name; end
	local known = set_of(names);
	for option in pairs(server.configured_names(section)) do
		if option:find("^post_msg_") and not known[option] then
			findings:problem("There is no setting %s (in the section %s); the settings are: %s", option, section, table.concat(names, ", "));
		end
	end
end

local function check_settings(findings, native, host) --> the settings
	local values = settings.load(module:context(host), function (text, ...) findings:problem(host..": "..text, ...); end);
	if native and values.templates then
		for _, fault in pairs(native.templates(values.templates):faults()) do
			findings:problem("%s: %s; correct it (prosodyctl mod_post_msg template list)", host, fault);
		end
	end
	return values;
end

-- HTTP

local function check_ports(findings, hosts, values)
	local plain, tls = ports_of("http"), ports_of("https");
	if #plain == 0 and #tls == 0 then
		findings:problem("Prosody serves no HTTP: http_ports and https_ports are empty; set one, such as https_ports = { 5281 }");
	end
	if not serves_plain_http_to_others() then return; end
	for _, host in ipairs(hosts) do
		if not values[host].require_encryption then
			findings:problem("%s: Plain HTTP (port %s) is served to other machines, so passwords and tokens may come unencrypted; set"
				.." http_interfaces = { \"127.0.0.1\", \"::1\" }, or post_msg_require_encryption = true", host, tostring(plain[1]));
		end
	end
end

local function check_urls(findings, hosts)
	local host_at = {};
	for _, host in ipairs(hosts) do
		local url = http_host_of(host)..server.base_path(host);
		local other = host_at[url];
		if other then
			findings:problem("%s and %s have the same URL, http://%s, so one of them cannot be reached; set http_host for each", other, host, url);
		end
		host_at[url] = host;
	end
end

local function check_external_urls(findings, hosts)
	local names = {};
	for _, host in ipairs(hosts) do names[http_host_of(host)] = true; end
	for _, host in ipairs(hosts) do
		local name, external = http_host_of(host), (external_url_of(host) or {}).host;
		if external and external ~= name and (names[external] or not global("http_default_host")) then
			findings:problem("%s: http_external_url names %s, but this host answers to %s; set http_host = \"%s\", or have the proxy send Host: %s",
				host, external, name, external, name);
		end
	end
end

local default_ports = { http = "80"; https = "443" };

-- Whether a proxy serves an external URL: Prosody itself has no such port.
local function is_behind_proxy(url) --> boolean
	local port = url.port or default_ports[url.scheme];
	if not port then return false; end
	for _, own_port in ipairs(url.scheme == "http" and ports_of "http" or url.scheme == "https" and ports_of "https" or {}) do
		if tostring(own_port) == port then return false; end
	end
	return true;
end

local function find_hosts_behind_proxy(hosts) --> list
	local names = {};
	for _, host in ipairs(hosts) do
		local url = external_url_of(host);
		if url and is_behind_proxy(url) then names[#names + 1] = host; end
	end
	return names;
end

local function check_proxy(findings, hosts)
	local trusted = set_of(list(global("trusted_proxies") or { "127.0.0.1", "::1" }));
	for _, host in ipairs(find_hosts_behind_proxy(hosts)) do
		if not global("trusted_proxies") and serves_plain_http_to_others() then
			findings:problem("%s: http_external_url is the URL of a proxy, and trusted_proxies is not set: Prosody takes the address of a proxy on"
				.." another machine for the address of every client, so that the failed attempts of one client block all; set"
				.." trusted_proxies = { \"ADDRESS\" }", host);
		elseif not serves_plain_http_to_others() and not trusted["127.0.0.1"] and not trusted["::1"] then
			findings:problem("%s: http_external_url is the URL of a proxy, which can only be on this machine, but trusted_proxies has neither"
				.." 127.0.0.1 nor ::1; add them", host);
		end
	end
end

-- Other modules

local function check_modules(findings)
	local has_rooms, has_metrics = false, false;
	for host in pairs(prosody.hosts) do
		has_rooms = has_rooms or server.is_configured("muc", host);
		has_metrics = has_metrics or server.is_configured("http_openmetrics", host);
	end
	if not has_rooms then
		findings:note("There are no rooms on this server; to add a room service, write Component \"rooms.example.com\" \"muc\"");
	end
	if has_metrics and not global("statistics") and not global("statistics_interval") then
		findings:note("http_openmetrics shows nothing without a provider of statistics; set statistics = \"internal\"");
	end
end

local function check() --> findings
	local findings, hosts, values = new_findings(), server.hosts_with("post_msg"), {};
	if not hosts[1] then
		findings:problem("No host has the module; add \"post_msg\" to modules_enabled");
	end
	check_copies(findings);
	local native = check_library(findings);
	check_names_of_settings(findings, "*");
	for _, host in ipairs(hosts) do
		check_names_of_settings(findings, host);
		values[host] = check_settings(findings, native, host);
	end
	check_ports(findings, hosts, values);
	check_urls(findings, hosts);
	check_external_urls(findings, hosts);
	check_proxy(findings, hosts);
	check_modules(findings);
	return findings;
end

return { check = check };
