-- HTTP requests whose answers are read later, so that many requests run at once.

local socket = require "socket";
local world = require "spec.support.world";

local wire = {};
wire.__index = wire;

local patience = 60; -- seconds to wait for something that takes milliseconds on an idle machine

-- Sends the bytes of a request on a connection of its own.
function wire.send(request)
	local connection = assert(socket.connect("127.0.0.1", world.server.http_port));
	connection:settimeout(patience);
	connection:setoption("tcp-nodelay", true);
	local self = setmetatable({ connection = connection }, wire);
	assert(connection:send(request));
	return self;
end

-- Sends many requests, after all connections are open.
function wire.send_all(requests)
	local found = {};
	for i = 1, #requests do
		local connection = assert(socket.connect("127.0.0.1", world.server.http_port));
		connection:settimeout(patience);
		connection:setoption("tcp-nodelay", true);
		found[i] = setmetatable({ connection = connection }, wire);
	end
	for i, request in ipairs(requests) do assert(found[i].connection:send(request)); end
	return found;
end

-- Whether an answer, or the end of the connection, has begun to arrive within that many seconds.
function wire:arrived(seconds)
	return socket.select({ self.connection }, nil, seconds or 0)[1] ~= nil;
end

-- Reads the answer. > { status = 201, headers = { ["content-type"] = "…" }, body = "…" }, or nil if there is no answer
function wire:answer()
	local line = self.connection:receive("*l");
	local status = line and tonumber(line:match("^HTTP/1%.%d (%d%d%d)"));
	if not status then self:hang_up(); return nil, line or "no answer"; end
	local answer = { status = status, headers = {} };
	line = self.connection:receive("*l");
	while line and line ~= "" do
		local name, value = line:match("^([^:]+):%s*(.-)%s*$");
		answer.headers[name:lower()] = value;
		line = self.connection:receive("*l");
	end
	if not line then self:hang_up(); return nil, "the answer was cut off"; end
	local length = tonumber(answer.headers["content-length"]);
	answer.body = length == 0 and "" or self.connection:receive(length or "*a");
	self:hang_up();
	if not answer.body then return nil, "the answer was cut off"; end
	return answer;
end

function wire:hang_up()
	self.connection:close();
end

-- Reads the answers to all of these. > { answer, … }
function wire.answers(sent)
	local found = {};
	for i, one in ipairs(sent) do found[i] = assert(one:answer()); end
	return found;
end

-- Waits until the condition holds; checks it repeatedly.
function wire.await(what, condition, seconds)
	local deadline = socket.gettime() + (seconds or patience);
	while true do
		local found = condition();
		if found then return found; end
		if socket.gettime() > deadline then error("in vain waited for " .. what, 2); end
		socket.sleep(0.02);
	end
end

-- A port of this machine that nothing listens on.
function wire.free_port()
	local probe = assert(socket.bind("127.0.0.1", 0));
	local _, port = probe:getsockname();
	probe:close();
	return tonumber(port);
end

return wire;
