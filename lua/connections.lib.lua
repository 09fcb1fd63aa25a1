-- Connections of HTTP clients: reads data that Prosody leaves unread while requests are suspended, and keeps a flood of requests from
-- delaying timers.

local now = require "util.time".monotonic;
local timer = require "util.timer";

local server = module.import "prosody";

-- Reads the data that a connection has already received, after a request on it was suspended: a suspended request pauses its connection. Without
-- this, the next requests of a client that does not wait for answers would be read only when the client sends more. There are two timers
-- so that Prosody handles first what it has read. This may suspend another request, and then `read_received` reads nothing.
local function read_rest(conn)
	if not server.has_received(conn) then return; end
	timer.add_task(0, function ()
		timer.add_task(0, function () server.read_received(conn); end);
	end);
end

-- Prosody looks at its timers only when no connection has anything to read. A flood of requests delays everything that waits for a
-- timer: throttled clients, timeouts, suspended requests. If a timer is later than this, connections wait for it.
local longest_delay = 0.05; -- seconds
local timer_set_at; -- time, or nil if no timer is set

local function yield_to_timers(conn)
	local time = now();
	if not timer_set_at then
		timer_set_at = time;
		timer.add_task(longest_delay / 2, function () timer_set_at = nil; end);
	elseif time - timer_set_at > longest_delay then
		server.pause_until_timers(conn);
	end
end

return { read_rest = read_rest; yield_to_timers = yield_to_timers };
