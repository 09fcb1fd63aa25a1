-- Connections of HTTP clients: what Prosody leaves undone on them while requests are suspended, or while there are many.

local now = require "util.time".monotonic;
local timer = require "util.timer";

local server = module.import "prosody";

-- Reads what Prosody has already received of a connection, after a request on it was suspended, which pauses the connection. Otherwise
-- the next requests of a client that does not wait for answers would stay there until the client sends more. The second timer comes
-- after what was read so far, by which another request may be suspended: then no more is read.
local function read_rest(conn)
	if not server.has_received(conn) then return; end
	timer.add_task(0, function ()
		timer.add_task(0, function () server.read_received(conn); end);
	end);
end

-- Prosody looks at its timers only when no connection has anything to read. A flood of requests delays all that waits for a timer:
-- clients that are slowed down, timeouts, requests that wait. If a timer is late by this, connections wait until it has had its turn.
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
