-- `prosodyctl mod_post_msg check`: checks a configuration. For each problem, it says what to do.

local array = require "util.array";
local lfs = require "lfs";

local endpoints = module.import "endpoints";
local findings_list = module.import "findings";
local http_client = module.import "http_client";
local http_settings = module.import "http_settings";
local is_loopback = module.import "loopback";
local loader = module.import "loader";
local prosodyctl_hosts = module.import "prosodyctl_hosts";
local reachability = module.import "reachability";
local server = module.import "prosody";
local settings = module.import "settings";

local lua_version = _VERSION:match("%d+%.%d+");

local function set_of(items) --> { item → true }
	local set = {};
	for _, item in ipairs(items) do set[item] = true; end
	return set;
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
	for option in pairs(server.own_settings(section)) do
		if option:find("^post_msg_") and not known[option] then
			findings:problem("There is no setting %s (in the section %s); the settings are: %s", option, section, table.concat(names, ", "));
		end
	end
end

-- Settings below a component, or below a host without the module, have no effect.
local function check_other_sections(findings, hosts)
	local loads = set_of(hosts);
	for section in pairs(prosody.hosts) do
		local has_no_effect = section ~= "*" and not loads[section] and server.configured(section, "enabled") ~= false;
		for option in pairs(has_no_effect and server.own_settings(section) or {}) do
			if option:find("^post_msg_") then
				findings:problem("%s is in the section %s, which does not load the module, so it has no effect; write it in the section of a VirtualHost that"
					.." does, or above the first VirtualHost", option, section);
			end
		end
	end
end

local function check_settings(findings, native, host) --> the settings
	local values = settings.load(module:context(host), function (text, ...) findings:problem(host..": "..text, ...); end);
	if values.templates and not pcall(lfs.dir, values.templates) then
		findings:problem("%s: The folder %s (post_msg_templates) cannot be read by the user that Prosody runs as; let it: chmod a+rx %s", host,
			values.templates, values.templates);
	elseif native and values.templates then
		for _, fault in pairs(native.templates(values.templates):faults()) do
			findings:problem("%s: %s; correct it (prosodyctl mod_post_msg template list)", host, fault);
		end
	end
	return values;
end

-- HTTP

-- Debian's configuration has a host "localhost", whose users are on this machine.
local function without_localhost(hosts) --> list; the same if there is no other host
	local others = {};
	for _, host in ipairs(hosts) do
		if host ~= "localhost" then others[#others + 1] = host; end
	end
	return others[1] and others or hosts;
end

local function check_ports(findings, hosts, values)
	for _, service in ipairs { "http", "https" } do
		for _, port in ipairs(http_settings.configured_ports(service)) do
			if not tonumber(port) then findings:problem("%s_ports contains %s, which is not a port; write a number", service, tostring(port)); end
		end
	end
	if not http_settings.serves_http() then
		findings:problem("Prosody serves no HTTP: http_ports and https_ports are empty; write https_ports = { 5281 } above the first VirtualHost");
	end
	if not http_settings.serves_plain_http_to_others() then return; end
	for _, host in ipairs(without_localhost(hosts)) do
		if not values[host].require_encryption then
			findings:problem("%s: Plain HTTP (port %s) is served to other machines, so passwords and tokens may come unencrypted; write"
				.." http_interfaces = { \"127.0.0.1\", \"::1\" }, or post_msg_require_encryption = true, above the first VirtualHost", host,
				tostring(http_settings.ports("http")[1]));
		end
	end
end

local function check_urls(findings, hosts)
	local host_at = {};
	for _, host in ipairs(without_localhost(hosts)) do
		local url = endpoints.url(host);
		local other = host_at[url];
		if other then
			findings:problem("%s and %s have the same URL, %s, so one of them cannot be reached; set http_host, or http_external_url, for each host",
				other, host, url);
		end
		host_at[url] = host;
	end
end

local function check_external_urls(findings, hosts)
	for _, host in ipairs(without_localhost(hosts)) do
		local value, url = server.configured(host, "http_external_url"), http_settings.external_url(host);
		if value and not url then
			findings:problem("%s: http_external_url is %s, which is not a URL; write a URL such as \"https://%s/\"", host, tostring(value), host);
		elseif url and url.scheme == "http" and not is_loopback(url.host) then
			findings:problem("%s: http_external_url begins with http://, so passwords and tokens come unencrypted; have the proxy serve HTTPS, and write"
				.." \"https://%s/\"", host, url.host);
		end
	end
end

-- Whether a proxy serves an external URL: Prosody itself has no such port.
local function is_behind_proxy(url) --> boolean
	for _, port in ipairs(http_settings.ports(url.scheme)) do
		if port == url.port then return false; end
	end
	return true;
end

local function find_hosts_behind_proxy(hosts) --> list
	local names = {};
	for _, host in ipairs(hosts) do
		local url = http_settings.external_url(host);
		if url and is_behind_proxy(url) then names[#names + 1] = host; end
	end
	return names;
end

local function check_proxy(findings, hosts)
	for _, host in ipairs(find_hosts_behind_proxy(hosts)) do
		local is_here = http_client.is_here(http_settings.external_url(host).host);
		if is_here and not http_settings.trusts_this_machine() then
			findings:problem("%s: http_external_url leads to a proxy on this machine, and trusted_proxies does not contain it: all clients seem to have the"
				.." address of the proxy; add \"127.0.0.1\" and \"::1\" to trusted_proxies", host);
		elseif not is_here and not http_settings.global("trusted_proxies") and http_settings.serves_plain_http_to_others() then
			findings:problem("%s: http_external_url is the URL of a proxy on another machine, and trusted_proxies is not set: all clients seem to have"
				.." the address of the proxy, so the failed attempts of one client block all; write trusted_proxies = { \"127.0.0.1\", \"::1\","
				.." \"ADDRESS OF THE PROXY\" } above the first VirtualHost", host);
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
		findings:note("There are no rooms on this server; to add a room service, write Component \"rooms.example.com\" \"muc\" {}");
	end
	if has_metrics and not http_settings.global("statistics") and not http_settings.global("statistics_interval") then
		findings:note("http_openmetrics shows nothing without a provider of statistics; write statistics = \"internal\" above the first VirtualHost, and"
			.." restart Prosody");
	end
end

-- Where the module is loaded

local function check_hosts(findings, hosts)
	local loads, others = set_of(hosts), {};
	for _, host in ipairs(server.virtual_hosts()) do
		if not loads[host] and host ~= "localhost" and prosodyctl_hosts.has_accounts(host) then others[#others + 1] = host; end
	end
	local how = prosodyctl_hosts.how_to_load(others[1] or "localhost");
	if not hosts[1] then
		findings:problem("No host loads the module; %s", how);
	elseif #hosts == 1 and hosts[1] == "localhost" and others[1] then
		findings:problem("Only localhost loads the module: lines below a VirtualHost count for this host alone. For %s, %s", others[1], how);
	elseif others[1] then
		findings:note("%s does not load the module; for that, %s", table.concat(others, ", "), how);
	end
	for _, host in ipairs(hosts) do
		if not server.is_configured("saslauth", host) then
			findings:problem("%s: The list modules_enabled lacks \"saslauth\", so no client can log in. If %s has two such lists above the first"
				.." VirtualHost, the second one replaces the first; write \"post_msg\"; into the first list, and delete the second", host,
				prosody.config_file);
		end
	end
end

-- Whether the URLs work

local function describe(endpoint) --> text
	if endpoint.way == "plain" then return endpoint.url.." (not encrypted)"; end
	if endpoint.way ~= "local" then return endpoint.url; end
	local header = endpoint.host_header and ", with the header Host: "..endpoint.host_header or "";
	return endpoint.url.." (on this machine only"..header..")";
end

-- `shown`: the URLs that were printed; hosts may share the URL of a proxy. `is_local`: a host for programs of this machine.
local function check_urls_of(findings, host, shown, is_local) --> whether a port of this Prosody accepts connections
	local working, faults = reachability.examine(host);
	for _, endpoint in ipairs(working) do
		local text = describe(endpoint);
		if not shown[text] then findings:url("%s", text); end
		shown[text] = true;
	end
	local own = faults["local"];
	if own and (own.step == "unloaded" or own.step == "foreign") then
		findings:problem("%s: %s", host, own.sentence);
	elseif own and not working[1] then
		findings:problem("%s: %s", host, own.sentence);
		return false;
	elseif not is_local and (host ~= "localhost" or not working[1] or faults.external) then
		local sentence, kind = reachability.fault_for_others(working, faults);
		if sentence then findings[kind](findings, "%s: %s", host, sentence); end
	end
	return true;
end

local function check_reachability(findings, hosts) --> whether Prosody runs
	local runs, shown, is_public = false, {}, set_of(without_localhost(hosts));
	for _, host in ipairs(hosts) do
		if check_urls_of(findings, host, shown, not is_public[host]) then runs = true; end
	end
	return runs;
end

-- Whether clients can use the URLs of mod_http_file_share of a host. With http_file_share_base_url, another server takes the files.
local function serves_uploads(host) --> boolean
	return host ~= "*" and host ~= "localhost" and server.configured(host, "enabled") ~= false and server.is_configured("http_file_share", host)
		and not server.configured(host, "http_file_share_base_url");
end

local function check_uploads(findings)
	for host in pairs(prosody.hosts) do
		local sentence = serves_uploads(host) and reachability.fault_of_uploads(host);
		if sentence then findings:problem("%s: %s", host, sentence); end
	end
end

local function check() --> findings
	local findings, hosts, values = findings_list.new(), server.hosts_with("post_msg"), {};
	check_hosts(findings, hosts);
	check_copies(findings);
	local native = check_library(findings);
	check_names_of_settings(findings, "*");
	check_other_sections(findings, hosts);
	for _, host in ipairs(hosts) do
		check_names_of_settings(findings, host);
		values[host] = check_settings(findings, native, host);
	end
	hosts = array.filter(array(hosts), prosodyctl_hosts.has_accounts);
	check_ports(findings, hosts, values);
	check_urls(findings, hosts);
	check_external_urls(findings, hosts);
	check_proxy(findings, hosts);
	check_modules(findings);
	if http_settings.serves_http() and check_reachability(findings, hosts) then check_uploads(findings); end
	return findings;
end

return { check = check };
