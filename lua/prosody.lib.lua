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

-- net.http.server (0.12.3, 13.0.1) reads the body of a request into `body_sink`, and calls the handler again at its end.

-- Reads the rest of a body that is refused, and drops it.
function server.discard_body(request)
	request.body_sink = { write = function () return true; end };
end

function server.is_discarded(request) --> boolean
	return request.body_sink ~= nil;
end

-- The rest of a refused body was read; its answer is sent already.
function server.end_discarded(request, response) --> true
	response.finished = true;
	response:finish_cb();
	request.conn:close();
	return true;
end

-- Calls `callback` if the client goes before its answer. Prosody (0.12.3, 13.0.1) does not end the request then, and would set a
-- timer, of many minutes, to a connection that is resumed after its end.
function server.on_client_gone(response, callback)
	response.on_destroy = function ()
		response.conn.resume = function () end;
		callback();
		response:finish_cb();
	end;
end

-- Drops what a client sends on a connection that ends. Prosody (0.12.3, 13.0.1) reads on if the client has hung up, also while the
-- connection is paused, and would queue each request.
local deaf = setmetatable({ onincoming = function () end }, { __index = http_server.listener });

function server.ignore_input(conn)
	conn:setlistener(deaf);
end

return server;
