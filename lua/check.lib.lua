-- Looks at a configuration, for `prosodyctl mod_post_msg check`, and says what would not work, and what to do.

local configmanager = require "core.configmanager";
local lfs = require "lfs";
local modulemanager = require "core.modulemanager";
local url_parse = require "socket.url".parse;

local loader = module.import "loader";
local server = module.import "prosody";
local settings = module.import "settings";

local lua_version = _VERSION:match("%d+%.%d+");
local findings; -- { kind, sentence }, …

-- Something that does not work, or is not safe.
local function problem(sentence, ...)
	table.insert(findings, { "problem", sentence:format(...) });
end

-- Something that an administrator may want so.
local function note(sentence, ...)
	table.insert(findings, { "note", sentence:format(...) });
end

local function global(name)
	return configmanager.get("*", name);
end

local function list(value) --> table
	if value == nil then return {}; end
	return type(value) == "table" and value or { value };
end

-- Ports of "http" or "https", as Prosody's portmanager finds them.
local function ports_of(service, default) --> list
	local ports = global(service.."_ports");
	return list(ports == nil and default or ports);
end

local function is_loopback(interface) --> boolean
	return interface == "::1" or interface == "localhost" or interface:find("^127%.") ~= nil;
end

-- Whether plain HTTP is served to other machines. Unless told otherwise it is not.
local function is_open() --> boolean
	local interfaces = global("http_interfaces") or global("http_interface") or global("local_interfaces") or { "127.0.0.1" };
	for _, interface in ipairs(list(interfaces)) do
		if not is_loopback(interface) then return #ports_of("http", 5280) > 0; end
	end
	return false;
end

local function enabled(name, host) --> boolean
	return modulemanager.get_modules_for_host(host):contains(name) or configmanager.get(host, "component_module") == name;
end

-- Files

-- What mod_post_msg.lua can be called below a plugin path, as Prosody's pluginloader has it.
local places = {
	"mod_post_msg/post_msg/mod_post_msg.lua"; "mod_post_msg/mod_post_msg.lua"; "post_msg/mod_post_msg.lua"; "mod_post_msg.lua";
	"share/lua/"..lua_version.."/mod_post_msg.lua"; "share/lua/"..lua_version.."/mod_post_msg/mod_post_msg.lua";
};

-- Prosody loads the first that it finds.
local function check_copies()
	local first;
	for path in prosody.paths.plugins:gmatch("[^;]+") do
		for _, place in ipairs(places) do
			local file = path:gsub("/*$", "/")..place;
			if lfs.attributes(file, "mode") == "file" and file ~= first then
				if first then
					problem("There is another mod_post_msg, %s (%s), which is not used: %s goes before it; remove one of them",
						file, loader.described(file:match("^(.*)/")), first);
				else
					first = file;
				end
			end
		end
	end
end

local function check_library() --> the native half, or nil
	local ok, result = pcall(loader.load);
	if ok then return result; end
	problem("%s", tostring(result));
end

-- Settings

-- Those that a section of the configuration gives.
local function check_names_of_settings(section)
	local known, names = {}, {};
	for index, setting in ipairs(settings.declared) do
		names[index] = "post_msg_"..setting.name;
		known[names[index]] = true;
	end
	for option in pairs(configmanager.getconfig()[section] or {}) do
		if option:find("^post_msg_") and not known[option] then
			problem("There is no setting %s (in the section %s); these are: %s", option, section, table.concat(names, ", "));
		end
	end
end

local function check_settings(native, host) --> the settings
	local values = settings.load(module:context(host), function (text, ...) problem(host..": "..text, ...); end);
	if native and values.templates then
		for _, fault in pairs(native.templates(values.templates):faults()) do
			problem("%s: %s; correct it (prosodyctl mod_post_msg template list)", host, fault);
		end
	end
	return values;
end

-- HTTP

local function check_ports(hosts, values)
	local plain, tls = ports_of("http", 5280), ports_of("https", 5281);
	if #plain == 0 and #tls == 0 then
		problem("Prosody serves no HTTP: http_ports and https_ports are empty; set one, such as https_ports = { 5281 }");
	end
	if not is_open() then return; end
	for _, host in ipairs(hosts) do
		if not values[host].require_encryption then
			problem("%s: Plain HTTP (port %s) is served to other machines, so passwords and tokens may come unencrypted; set"
				.." http_interfaces = { \"127.0.0.1\", \"::1\" }, or post_msg_require_encryption = true", host, tostring(plain[1]));
		end
	end
end

local function name_of(host) --> the name that a request has to ask for
	return configmanager.get(host, "http_host") or host;
end

local function check_names(hosts)
	local names, taken = {}, {};
	for _, host in ipairs(hosts) do
		local name = name_of(host);
		names[name] = true;
		local place = name..server.base_path(host);
		if taken[place] then
			problem("%s and %s are both reached by http://%s, so one of them is not; give each a http_host of its own", taken[place], host, place);
		end
		taken[place] = host;
	end
	for _, host in ipairs(hosts) do
		local url = configmanager.get(host, "http_external_url");
		local external = type(url) == "string" and url_parse(url).host or nil;
		if external and external ~= name_of(host) and (names[external] or not global("http_default_host")) then
			problem("%s: http_external_url names %s, but this host answers to %s; set http_host = \"%s\", or have the proxy send Host: %s",
				host, external, name_of(host), external, name_of(host));
		end
	end
end

-- A URL from outside that Prosody itself does not serve is that of a proxy.
local function check_proxy(hosts)
	local own = {};
	for _, port in ipairs(ports_of("http", 5280)) do own["http "..port] = true; end
	for _, port in ipairs(ports_of("https", 5281)) do own["https "..port] = true; end
	local trusted = {};
	for _, address in ipairs(list(global("trusted_proxies") or { "127.0.0.1", "::1" })) do trusted[address] = true; end
	for _, host in ipairs(hosts) do
		local url = configmanager.get(host, "http_external_url");
		url = type(url) == "string" and url_parse(url) or {};
		local port = url.port or ({ http = "80", https = "443" })[url.scheme];
		if port and not own[url.scheme.." "..port] then
			if not global("trusted_proxies") and is_open() then
				problem("%s: http_external_url is that of a proxy, and trusted_proxies is not set: Prosody takes the address of a proxy on"
					.." another machine for that of every client, so that the failed attempts of one refuse all; set"
					.." trusted_proxies = { \"ADDRESS\" }", host);
			elseif not is_open() and not trusted["127.0.0.1"] and not trusted["::1"] then
				problem("%s: http_external_url is that of a proxy, which can only be on this machine, but trusted_proxies has neither"
					.." 127.0.0.1 nor ::1; add them", host);
			end
		end
	end
end

-- Other modules

local function check_modules()
	local rooms, metrics = false, false;
	for host in pairs(prosody.hosts) do
		if enabled("muc", host) then rooms = true; end
		if enabled("http_openmetrics", host) then metrics = true; end
	end
	if not rooms then
		note("There are no rooms on this server: Component \"rooms.example.com\" \"muc\" would bring some");
	end
	if metrics and not global("statistics") and not global("statistics_interval") then
		note("http_openmetrics shows nothing without a provider of statistics; set statistics = \"internal\"");
	end
end

-- Finds what is wrong.
local function check() --> { { "problem" or "note", sentence }, … }
	findings = {};
	local hosts, values = {}, {};
	for host, session in pairs(prosody.hosts) do
		-- COMPAT In prosodyctl of 13, "*" is one of them.
		if host ~= "*" and session.type == "local" and enabled("post_msg", host) then hosts[#hosts + 1] = host; end
	end
	table.sort(hosts);
	if not hosts[1] then
		problem("No host has the module; add \"post_msg\" to modules_enabled");
	end
	check_copies();
	local native = check_library();
	check_names_of_settings("*");
	for _, host in ipairs(hosts) do
		check_names_of_settings(host);
		values[host] = check_settings(native, host);
	end
	check_ports(hosts, values);
	check_names(hosts);
	check_proxy(hosts);
	check_modules();
	return findings;
end

return { check = check };
