-- What is private to Prosody: each use of what its documentation does not name, with the versions in which it was read.

local http_server = require "net.http.server";
local normalize_path = require "util.http".normalize_path;

local hosts = prosody.hosts;

local server = {};

-- The path under which mod_http serves this module on a host, without a slash at its end. mod_http (0.12.3, 13.0.1) makes it of
-- http_paths, and tells it to nobody.
function server.base_path(host) --> string
	local function configured(section)
		local paths = module:context(section):get_option("http_paths");
		return type(paths) == "table" and paths.post_msg or nil;
	end
	local path = normalize_path(configured(host) or configured("*") or "/msg");
	path = path:gsub("%$(%w+)", { host = host });
	return path == "/" and "" or path;
end

-- Calls `handle` with each HTTP event that no route of mod_http has answered, which mod_http answers with 404. http.server (0.12.3,
-- 13.0.1) fires the event "METHOD host/path" on an object that only its own code uses.
function server.hook_unrouted(handle)
	module:wrap_object_event(http_server._events, false, function (handlers, event_name, event)
		local result = handlers(event_name, event);
		if result == nil then result = handle(event_name, event); end
		return result;
	end);
end

-- Whether a host has a connection to another server, or is opening one. core.s2smanager (0.12.3, 13.0.1) keeps the session of each
-- in the table `s2sout` of its host.
function server.is_connected(host, domain) --> boolean
	return hosts[host].s2sout[domain] ~= nil;
end

return server;
