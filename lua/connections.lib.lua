-- Connections of HTTP clients: what Prosody leaves undone on them while requests are suspended, or while there are many.

local now = require "util.time".monotonic;
local timer = require "util.timer";

local server = module.import "prosody";

-- Reads what a connection has already received, after a request on it was suspended: a suspended request pauses its connection. Without
-- this, the next requests of a client that does not wait for answers would be read only when the client sends more. There are two timers
-- so that Prosody handles first what it has read. This may suspend another request, and then `read_received` reads nothing.
local function read_rest(conn)
	if not server.has_received(conn) then return; end
	timer.add_task(0, function ()
		timer.add_task(0, function () server.read_received(conn); end);
	end);
end

-- Prosody looks at its timers only when no connection has anything to read. A flood of requests delays everything that waits for a
-- timer: clients that are slowed down, timeouts, requests that wait. If a timer is late by this, connections wait for it.
local late = 0.05; -- seconds
local timer_set; -- when, or nil

local function yield_to_timers(conn)
	local time = now();
	if not timer_set then
		timer_set = time;
		timer.add_task(late / 2, function () timer_set = nil; end);
	elseif time - timer_set > late then
		server.pause_until_timers(conn);
	end
end

return { read_rest = read_rest; yield_to_timers = yield_to_timers };
