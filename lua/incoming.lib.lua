-- The bytes of HTTP connections, before Prosody's parser reads them: reads chunked bodies (RFC 9112, section 7.1), answers `Expect:
-- 100-continue`, and replaces framing that the parser cannot read. Each concerns only requests to this module; all other bytes go to the
-- parser as they came. If Prosody reads chunks itself some day, this file can be deleted.
--
-- It needs these private parts of Prosody, by prosody.lib.lua: the functions `onconnect`, `onincoming`, `ondisconnect` and `ondetach` of
-- net.http.server's listener; the handlers of its events; the response of a connection that is not finished. And it needs to agree with
-- net.http.parser about where requests end: src/http/head.rs.

local add_task = require "util.timer".add_task;
local random_id = require "util.id".long;

local native = module.import "native";
local server = module.import "prosody";

-- All hosts share this table, and it survives a reload.
local shared = module:shared("/*/post_msg/incoming");
shared.events = shared.events or {}; -- host → the names of its HTTP events
shared.hooks = shared.hooks or {}; -- host → function that hooks the listener: only one host does
shared.secret = shared.secret or random_id(); -- marks the header of `refuse`: no client can send it

-- connection → what its next bytes are:
--   a number   bytes of a body, so many, and then requests
--   a string   the rest of a head that begins with this string
--   a table    the chunks of a body: { head, body }
--   false      nothing: the connection is about to end, and they are dropped
--   nil        unknown, since the connection is older than the module, or has sent something that the parser may read differently. The
--              parser gets all of its bytes.
shared.states = shared.states or setmetatable({}, { __mode = "k" });
local states = shared.states;

local body_limit = server.body_limit();
local parse; -- the function that gives bytes to Prosody's parser

local function is_ours(head) --> boolean
	if not head.method then return false; end
	for _, names in pairs(shared.events) do
		if server.routes_to(names, head.method, head.host, head.path) then return true; end
	end
	return false;
end

-- Sends 100 Continue, if the body has not begun to arrive by then.
local function send_continue(conn, state)
	server.when_answered(conn, function ()
		if states[conn] == state then conn:write("HTTP/1.1 100 Continue\r\n\r\n"); end
	end);
end

-- Gives the parser the head without a body, and drops all further bytes. The handler refuses the request when it finds the header that
-- this adds: see `fault_of`.
local function refuse(conn, head, kind, detail)
	states[conn] = false;
	parse(conn, native.reframe(head, ("Post-Msg-Fault: %s %s %s"):format(shared.secret, kind, detail)));
end

local read_requests;

local function read_chunks(conn, data, state)
	local outcome, value = state.body:read(data);
	if outcome == nil then
		return;
	elseif outcome == "malformed" then
		return refuse(conn, state.head, "bad_framing", value);
	elseif outcome == "too_large" then
		return refuse(conn, state.head, "too_large", "chunks");
	end
	local body = state.body:body();
	states[conn] = 0;
	parse(conn, native.reframe(state.head, ("Content-Length: %d"):format(#body)));
	if body ~= "" and states[conn] == 0 then parse(conn, body); end
	if value < #data and states[conn] == 0 then return read_requests(conn, data:sub(value + 1), 0); end
end

-- A head that is incomplete, or special for this module, and what follows.
local function read_head(conn, data)
	local head = native.head(data);
	if not head then
		states[conn] = data;
		return;
	end
	local length, rest = head.body_length, data:sub(#head.bytes + 1);
	if not length and not is_ours(head) then
		states[conn] = nil;
		return parse(conn, data);
	elseif head.fault then
		return refuse(conn, head.bytes, head.fault, head.detail);
	end
	local state = length or { head = head.bytes; body = native.chunked_body(body_limit) };
	states[conn] = state;
	if length then
		parse(conn, head.bytes);
		if states[conn] ~= length then return; end
	end
	if rest ~= "" then
		return (length and read_requests or read_chunks)(conn, rest, state);
	elseif head.expects_continue and (not length or length > 0 and length <= body_limit and is_ours(head)) then
		send_continue(conn, state);
	end
end

function read_requests(conn, data, left)
	local new_left, offset = native.skim(data, left);
	if new_left then
		states[conn] = new_left;
		return parse(conn, data);
	elseif not offset then
		states[conn] = nil;
		return parse(conn, data);
	elseif offset > 0 then
		states[conn] = 0;
		parse(conn, data:sub(1, offset));
		if states[conn] ~= 0 then return; end -- a request before has ended the connection
		data = data:sub(offset + 1);
	end
	return read_head(conn, data);
end

local readers = {
	["number"] = read_requests; ["table"] = read_chunks;
	["string"] = function (conn, data, state) return read_requests(conn, state..data, 0); end;
	["boolean"] = function () end;
	["nil"] = function (conn, data) return parse(conn, data); end;
};

local function read(conn, data)
	local state = states[conn];
	return readers[type(state)](conn, data, state);
end

local is_saved = false; -- whether the module is reloaded: the next one takes the states
local unhook; -- undoes the hook, if this host has hooked the listener

local function hook()
	parse, unhook = server.hook_http_listener {
		onconnect = function (conn) states[conn] = 0; end;
		onincoming = read;
		onend = function (conn) states[conn] = false; end;
	};
end

-- Ends the work on a connection whose further bytes pass unseen.
local function end_unseen(conn, state)
	if type(state) == "string" then
		parse(conn, state);
	elseif type(state) ~= "number" then
		conn:close();
	end
end

local incoming = {};

-- Begins to read the requests to this host. `names`: the names of the HTTP events of its routes.
function incoming.open(names)
	if next(shared.hooks) == nil then hook(); end
	shared.events[module.host], shared.hooks[module.host] = names, hook;
end

function incoming.close()
	shared.events[module.host], shared.hooks[module.host] = nil, nil;
	if not unhook then return; end
	unhook();
	local _, hook_of_another_host = next(shared.hooks);
	if hook_of_another_host then return hook_of_another_host(); end
	-- All bytes pass unseen from now on: the parser must not take the rest of a body for a request. After a reload, the module that was
	-- loaded anew may have restored the state of a connection by the next turn of the event loop.
	for conn, state in pairs(states) do
		states[conn] = nil;
		if not is_saved then
			end_unseen(conn, state);
		elseif type(state) ~= "number" then
			add_task(0, function ()
				if states[conn] == nil then end_unseen(conn, state); end
			end);
			server.pause_until_timers(conn); -- nothing is read before
		end
	end
end

-- What Prosody keeps for the module while it is reloaded: a body may have arrived in part.
function incoming.save() --> copy of the states
	is_saved = true;
	local copy = setmetatable({}, { __mode = "k" });
	for conn, state in pairs(states) do copy[conn] = state; end
	return copy;
end

function incoming.restore(saved)
	for conn, state in pairs(saved) do states[conn] = state; end
end

-- The framing of a request is wrong, if its headers have a fault that this file has found.
function incoming.fault_of(headers) --> kind of problem, detail; or nil
	local secret, kind, detail = (headers.post_msg_fault or ""):match("^(%S+) (%S+) (.*)$");
	if secret == shared.secret then return kind, detail; end
end

return incoming;
