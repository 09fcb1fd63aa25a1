-- What is private to Prosody: each use of what its documentation does not name, with the versions in which it was read.

local basic_resolver = require "net.resolvers.basic";
local http = require "net.http";
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

-- Whether a host has a connection to another server, or is opening one. core.s2smanager (0.12.3, 13.0.1) keeps the session of each
-- in the table `s2sout` of its host.
function server.is_connected(host, domain) --> boolean
	return hosts[host].s2sout[domain] ~= nil;
end

-- Routes a stanza of a session, with the events that the stanza of a connected client has ("pre-message/bare" and so on): the module
-- API has no function that fires them. core.stanza_router (0.12.3, 13.0.1) does, if its third argument is true.
server.route = prosody.core_post_stanza;

-- The function that logs in this module's name, for a session: every session has one. core.modulemanager (0.12.3, 13.0.1) sets it.
server.log = module._log;

-- HTTP requests that this server sends

local most_targets = 4; -- network addresses that one request tries

-- A resolver, as net.connect (0.12.3, 13.0.1) uses one, that passes on only the addresses that `is_allowed` accepts.
local filtered_resolver = {};
filtered_resolver.__index = filtered_resolver;

function filtered_resolver:next(callback)
	self.resolver:next(function (kind, address, ...)
		if kind and not self.is_allowed(address) then
			self.last_error = "the address is not on the Internet";
			return self:next(callback);
		end
		self.tried = self.tried + 1;
		self.last_error = self.last_error or self.resolver.last_error;
		if not kind or self.tried > most_targets then return callback(nil); end
		callback(kind, address, ...);
	end);
end

-- Calls net.http's `request`, and connects only to addresses that `is_allowed` accepts. net.http (0.12.3, 13.0.1) has no setting for
-- this. It makes its resolver before it returns. To check the name before the request is not enough: the name could have another
-- address when net.http resolves it again.
function server.send_request(url, options, callback, is_allowed) --> request
	local new = basic_resolver.new;
	basic_resolver.new = function (name, ...)
		return setmetatable({ hostname = name; resolver = new(name, ...); is_allowed = is_allowed; tried = 0 }, filtered_resolver);
	end;
	local ok, request = pcall(http.request, url, options, callback);
	basic_resolver.new = new;
	if not ok then error(request, 0); end
	return request;
end

-- How many bytes of a request are not sent yet: net.server_epoll keeps them in `writebuffer`, a list of strings in 0.12.3, and a string
-- or a util.dbuffer in 13.0.1. COMPAT The other backends have no such count.
function server.count_unsent(request) --> number; or nil
	local conn = request.conn;
	local buffer = conn and conn.writebuffer;
	if type(buffer) == "table" and not buffer.length then -- COMPAT 0.12
		local size = 0;
		for _, part in ipairs(buffer) do size = size + #part; end
		return size;
	end
	return type(buffer) == "string" and #buffer or buffer and buffer:length() or nil;
end

-- Ends a request, and frees what is not sent yet, which net.server_epoll (0.12.3, 13.0.1) would keep until the connection times out.
function server.cancel_request(request)
	request.body = nil;
	if request.conn then
		request.conn.writebuffer = nil;
		request.conn:close();
	end
end

return server;
