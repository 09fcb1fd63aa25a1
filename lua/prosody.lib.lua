-- Everything private to Prosody: only this file uses fields and functions that Prosody's documentation does not name. Each was checked in
-- the source of the versions that its comment names, or else of both 0.12.3 and 13.0.1.

local basic_resolver = require "net.resolvers.basic";
local configmanager = require "core.configmanager";
local datamanager = require "util.datamanager";
local http = require "net.http";
local http_server = require "net.http.server";
local modulemanager = require "core.modulemanager";
local net_server = require "net.server";
local new_events = require "util.events".new;
local normalize_path = require "util.http".normalize_path;
local portmanager = require "core.portmanager";
local storagemanager = require "core.storagemanager";
local timer = require "util.timer";
local urldecode = require "util.http".urldecode;
local usermanager = require "core.usermanager";

local hosts = prosody.hosts;

local server = {};

-- Requests of HTTP clients

-- The path under which mod_http serves a module on a host, without a slash at its end. mod_http computes it from http_paths, and no
-- function returns it. `app` is the module's name without "http_"; by default, this module's.
function server.base_path(host, app) --> string
	app = app or "post_msg";
	local function configured(section)
		local paths = module:context(section):get_option("http_paths");
		return type(paths) == "table" and paths[app] or nil;
	end
	local path = normalize_path(configured(host) or configured("*") or app == "post_msg" and "/msg" or "/"..app);
	path = path:gsub("%$(%w+)", { host = host });
	return path == "/" and "" or path;
end

-- Calls `handle` with each HTTP event that no route of mod_http has answered, and that mod_http would answer with 404. net.http.server
-- fires the event "METHOD host/path" on an object that only its own code uses.
function server.hook_unrouted(handle)
	module:wrap_object_event(http_server._events, false, function (handlers, event_name, event)
		local result = handlers(event_name, event);
		if result == nil then result = handle(event_name, event); end
		return result;
	end);
end

-- net.http.server reads the body of a request into `body_sink`, and calls the handler again at its end.

-- Reads the rest of a body that is refused, and drops it.
function server.discard_body(request)
	request.body_sink = { write = function () return true; end };
end

function server.is_discarded(request) --> boolean
	return request.body_sink ~= nil;
end

-- Ends a request whose body was discarded: its answer was sent before.
function server.end_discarded(request, response) --> true
	response.finished = true;
	response:finish_cb();
	request.conn:close();
	return true;
end

-- Whether the connection stays open after the answer. net.http.server has read this from the request.
function server.set_persistent(response, is_persistent)
	response.persistent = is_persistent;
end

-- Adds a header to whatever the answer will be (RFC 9111, section 5.2.2.5).
function server.forbid_storing(response)
	response.headers.cache_control = "no-store";
end

-- Calls `callback` if the client disconnects before its answer. Prosody does not end the request then; and if a connection is resumed after
-- its end, Prosody would set a timer of many minutes for it.
function server.on_client_gone(response, callback, argument)
	response.on_destroy = function ()
		response.conn.resume = function () end;
		callback(argument);
		response:finish_cb();
	end;
end

-- The handler returns the answer now: from here on, Prosody ends the request.
function server.forget_client(response)
	response.on_destroy = nil;
end

-- Whether the client has its answer, or has disconnected.
function server.is_finished(response) --> boolean
	return response.finished == true;
end

-- Writes the answer's body from `file`, which has `read` and `close`: each piece once the client has received the one before. `on_end`
-- is called at the end, also if the client disconnects.
function server.send_file(response, file, on_end)
	response.on_destroy = on_end;
	response:send_file(file);
end

-- The bytes of HTTP connections, before net.http.parser reads them. The listener of net.http.server has a function for each event of a
-- connection; net.server looks them up at each event.

-- Calls `hooks.onconnect(conn)` before a connection begins, `hooks.onend(conn)` before it ends or gets another listener, and
-- `hooks.onincoming(conn, bytes)` instead of the listener's own function, which is returned.
function server.hook_http_listener(hooks) --> function (conn, bytes), function that undoes the hooks
	local listener = http_server.listener;
	local original, wrapped = {}, {};
	local is_hooked = true; -- another module may have wrapped a function after this one
	for name, hook in pairs { onconnect = hooks.onconnect; ondisconnect = hooks.onend; ondetach = hooks.onend } do
		original[name] = listener[name];
		wrapped[name] = function (conn, ...)
			if is_hooked then hook(conn); end
			return original[name](conn, ...);
		end;
	end
	original.onincoming = listener.onincoming;
	function wrapped.onincoming(conn, bytes)
		return (is_hooked and hooks.onincoming or original.onincoming)(conn, bytes);
	end
	for name, handle in pairs(wrapped) do listener[name] = handle; end
	return original.onincoming, function ()
		is_hooked = false;
		for name, handle in pairs(wrapped) do
			if listener[name] == handle then listener[name] = original[name]; end
		end
	end;
end

-- Whether net.http.server would give a request to a handler of one of these events: "METHOD host/path". `path` is as it was in the request
-- line. COMPAT A request to a host that Prosody does not serve goes to http_default_host.
function server.routes_to(names, method, host, path) --> boolean
	local events = http_server._events;
	path = urldecode((path:gsub("//+", "/"))):match("^[^?]*");
	local function first_handler(of_host)
		local handlers = events._handlers[method.." "..of_host..path];
		return handlers and handlers[1];
	end
	local default_host = module:context("*"):get_option_string("http_default_host");
	local handler = first_handler(host) or default_host and first_handler(default_host);
	if not handler then return false; end
	for _, name in ipairs(names) do
		local handlers = events._event_map[name];
		if handlers and handlers[handler] then return true; end
	end
	return false;
end

-- Calls `callback` when all earlier requests of the connection are answered. `_http_open_response` is the response that is not finished;
-- net.http.server calls its `finish_cb`. util.async begins the next request by a timer that it sets afterwards, so there are two timers.
function server.when_answered(conn, callback)
	local response = conn._http_open_response;
	if not response then return callback(); end
	local finish = response.finish_cb;
	function response.finish_cb(...)
		finish(...);
		timer.add_task(0, function ()
			timer.add_task(0, function () server.when_answered(conn, callback); end);
		end);
	end
end

-- The longest body that net.http.parser reads: mod_http's setting.
function server.body_limit() --> bytes
	return module:context("*"):get_option_number("http_max_content_size", 10 * 1024 * 1024);
end

-- Drops all further input of a connection that is about to end. Prosody reads on after the client has disconnected, even while the
-- connection is paused, and would queue each request.
local deaf_listener = setmetatable({ onincoming = function () end }, { __index = http_server.listener });

function server.ignore_input(conn)
	conn:setlistener(deaf_listener);
end

-- Connections. net.server_epoll has the socket of a connection in `conn`, and in `_wantread` whether it reads from it. A socket of
-- LuaSocket or LuaSec is "dirty" while it holds received data that was not read. COMPAT net.server_select and net.server_event lack
-- these fields: with them, these functions do nothing.

local function has_received(conn) --> boolean
	local socket = conn.conn;
	return socket ~= nil and socket.dirty ~= nil and socket:dirty();
end

-- Whether a connection has received data that was not read yet.
server.has_received = has_received;

-- Reads the data that a connection has received, unless the connection is paused.
function server.read_received(conn)
	if conn._wantread and has_received(conn) then conn:onreadable(); end
end

-- Pauses a connection until Prosody has looked at its timers.
function server.pause_until_timers(conn)
	if conn.pausefor then conn:pausefor(0); end
end

-- Calls `callback` whenever a file descriptor can be read. net.server has this function in all backends.
function server.watch_fd(fd, callback) --> watch, with `close`
	return net_server.watchfd(fd, callback);
end

-- Requests of this server's HTTP client

local max_targets = 4; -- network addresses that one request tries

-- A resolver, as net.connect uses one, that returns only the addresses that `is_allowed` accepts.
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
		if not kind or self.tried > max_targets then return callback(nil); end
		callback(kind, address, ...);
	end);
end

-- Calls net.http's `request`, and connects only to addresses that `is_allowed` accepts. net.http has no setting for this; it makes its
-- resolver before it returns. A check of the name before the request is not enough: the name could have another address when net.http
-- resolves it again.
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

-- The address of Prosody's own port for plain HTTP: on the loopback interface, if that has one.
local function own_http_address() --> "127.0.0.1:5280"; or nil
	local addresses = {};
	for interface, ports in pairs(portmanager.get_active_services():get("http") or {}) do
		local address = interface == "*" and "127.0.0.1" or interface == "::" and "::1" or interface;
		if address:find(":", 1, true) then address = "["..address.."]"; end
		local port = next(ports);
		if port then addresses[#addresses + 1] = ("%s:%d"):format(address, port); end
	end
	table.sort(addresses, function (a, b)
		local a_is_loopback, b_is_loopback = a:find("^127%.") ~= nil, b:find("^127%.") ~= nil;
		if a_is_loopback ~= b_is_loopback then return a_is_loopback; end
		return a < b;
	end);
	return addresses[1];
end

-- Finds a way to a slot of mod_http_file_share on a host of this server that needs no DNS, certificate or proxy: Prosody's own port for plain
-- HTTP. The URL of a slot ends with its id and the name of the file. With http_file_share_base_url, another server takes the files.
function server.own_upload_url(host, url) --> URL, Host header; or nil
	local context = module:context(host);
	local is_served_here = hosts[host] and hosts[host].modules.http_file_share and not context:get_option("http_file_share_base_url");
	local address = is_served_here and own_http_address();
	local slot = url:match("/[^/?#]+/[^/?#]+$");
	if not address or not slot then return nil; end
	return "http://"..address..server.base_path(host, "file_share")..slot, context:get_option_string("http_host", host);
end

-- Counts the bytes of a request that are not sent yet. net.server_epoll keeps them in `writebuffer`: a string, a list of strings (0.12.3), or a
-- util.dbuffer (13.0.1). COMPAT The other backends have no such count.
function server.count_unsent(request) --> number, or nil
	local conn = request.conn;
	local buffer = conn and conn.writebuffer;
	if type(buffer) == "table" and not buffer.length then -- COMPAT 0.12
		local size = 0;
		for _, part in ipairs(buffer) do size = size + #part; end
		return size;
	end
	return type(buffer) == "string" and #buffer or buffer and buffer:length() or nil;
end

-- Ends a request, and frees its unsent bytes: net.server_epoll would keep them until the connection times out.
function server.cancel_request(request)
	request.body = nil;
	if request.conn then
		request.conn.writebuffer = nil;
		request.conn:close();
	end
end

-- Routing

-- Routes a stanza of a session, with the events for stanzas of connected clients, such as "pre-message/bare": the module API's `send`
-- does not fire them. core.stanza_router fires them if the third argument is true.
server.route = prosody.core_post_stanza;

-- The function that logs in this module's name: every session has one. core.modulemanager sets it.
server.log = module._log;

-- Whether a host has a connection to another server, or is opening one. core.s2smanager keeps their sessions in `s2sout`.
function server.is_connected(host, domain) --> boolean
	return hosts[host].s2sout[domain] ~= nil;
end

-- Accounts

-- Whether the backend of a host has an account. core.usermanager's own `user_exists` also counts an account that is connected.
function server.has_account(host, username) --> boolean
	return usermanager.get_provider(host).user_exists(username);
end

function server.is_account_enabled(host, username) --> boolean
	if not usermanager.user_is_enabled then return true; end -- COMPAT 0.12 disables no accounts
	local enabled, err = usermanager.user_is_enabled(username, host);
	-- COMPAT 13.0: a backend that cannot disable accounts returns this error for each of them.
	return enabled or err == "method not implemented" or err == "method not supported";
end

function server.role_of(host, username) --> role, or nil
	if not usermanager.get_user_role then return nil; end -- COMPAT 0.12 has no such roles
	return usermanager.get_user_role(username, host);
end

-- The backend of a host that verifies the password of an HTTP request: a SASL handler (util.sasl).
function server.new_sasl_handler(host, request) --> handler
	return usermanager.get_sasl_handler(host, {
		type = "c2s_unauthed"; host = host; ip = request.ip; secure = request.secure; conn = request.conn; log = server.log;
	});
end

-- The rounds with which mod_auth_internal_hashed derives the password of a new account.
function server.default_iterations(host) --> number
	local configured = module:context(host):get_option_number("default_iteration_count", 10000);
	if not module.get_option_integer then return configured; end -- COMPAT 0.12 takes any number
	return math.floor(math.max(configured, 4096));
end

-- mod_tokenauth of a host, if it is loaded.
function server.tokenauth(host) --> module, or nil
	return hosts[host].modules.tokenauth;
end

-- Asks mod_tokenauth, which has no documentation, for the sender of a token.
function server.check_bearer(tokenauth, token) --> address, role or nil; or nil, error ("internal-error" if the storage cannot be read)
	local role, info, err;
	if rawget(tokenauth, "get_token_session") then -- a module is its environment, which is strict
		local session;
		session, err = tokenauth.get_token_session(token);
		if not session then return nil, err; end
		role = session.role;
	end -- COMPAT 0.12 has no sessions of tokens
	info, err = tokenauth.get_token_info(token);
	if not info then return nil, err; end
	return info.jid, role;
end

-- Storage

-- Whether a store is in the files of util.datamanager, and is not shared with other processes.
function server.is_in_files(host, store) --> boolean
	local _, driver_name = storagemanager.get_driver(host, store);
	return driver_name == "internal";
end

-- The path of an entry in these files.
function server.path_of_entry(host, store, entry) --> string
	return datamanager.getpath(entry, host, store);
end

-- prosodyctl, in whose process no host is activated

-- The value of an option in a section of the configuration: "*", or a host.
server.configured = configmanager.get;

-- The options of a section, without the global options.
function server.own_settings(section) --> { name → value }
	local options = {};
	for name, value in pairs(rawget(configmanager.getconfig(), section) or {}) do options[name] = value; end
	return options;
end

-- Whether the configuration loads a module on a host.
function server.is_configured(module_name, host) --> boolean
	return modulemanager.get_modules_for_host(host):contains(module_name) or configmanager.get(host, "component_module") == module_name;
end

-- In prosodyctl, the section "*" and the components are among the hosts too.
function server.is_host(name) --> boolean
	return name ~= "*" and hosts[name] ~= nil;
end

function server.is_virtual_host(name) --> boolean; false if it is switched off
	return server.is_host(name) and not configmanager.get(name, "component_module") and configmanager.get(name, "enabled") ~= false;
end

-- The virtual hosts, in alphabetical order.
function server.virtual_hosts() --> list
	local names = {};
	for host in pairs(hosts) do
		if server.is_virtual_host(host) then names[#names + 1] = host; end
	end
	table.sort(names);
	return names;
end

-- The virtual hosts that load a module. A module that is loaded on "*" is not loaded on the other hosts.
function server.hosts_with(module_name) --> list
	local names = {};
	for _, host in ipairs(server.virtual_hosts()) do
		if server.is_configured(module_name, host) then names[#names + 1] = host; end
	end
	return names;
end

-- Gives a host its storage and its accounts. All hosts share their events in prosodyctl, so the host gets events of its own: otherwise
-- it would get the storage and the accounts of the other hosts.
function server.initialize_host(host)
	rawset(hosts[host], "events", new_events());
	storagemanager.initialize_host(host);
	usermanager.initialize_host(host);
end

return server;
