-- Waiting: for work of the native half, for outcomes, for a turn of the event loop. A request runs in the
-- coroutine that Prosody's HTTP server gives it.

local async = require "util.async";
local now = require "util.time".monotonic;
local server = require "net.server";
local timer = require "util.timer";

local register_state = module:require "state";

local slice = 0.001; -- seconds for which a request may hold the event loop
local slice_end = 0;

local core; -- given to init
local stopped = false;
local waiting = {}; -- wake → true
local tickets = {}; -- ticket → the wakes of those who wait for it
local unloaded = { status = 503, detail = "the module was unloaded meanwhile; try again" };

-- Suspends the request until `wake` is called, which is given to `arm`.
local function suspend(arm) --> boolean: whether it goes on
	if stopped then return false; end
	local wait, done = async.waiter();
	local function wake()
		if waiting[wake] then
			waiting[wake] = nil;
			done();
		end
	end
	waiting[wake] = true;
	arm(wake);
	wait();
	return not stopped;
end

local function sleep(seconds) --> boolean: whether it goes on
	return suspend(function (wake)
		timer.add_task(seconds, function () wake(); end);
	end);
end

-- Suspends the request until the event loop has looked at every connection. A timer would do, but
-- the loop waits a millisecond for one that is due at once, and looks at none while there is more to
-- read; so each way has its turn.
local ticks = {}; -- the wakes of those who wait for a look
local timers_looked_at = 0;

local function tick()
	suspend(function (wake)
		ticks[#ticks + 1] = wake;
		core.tick();
	end);
end

local function yield()
	local time = now();
	if time - timers_looked_at > 0.02 then
		sleep(0);
		timers_looked_at = now();
		return;
	end
	tick();
end

-- Lets others have their turn, where this request has had its slice.
local function breathe() --> boolean: whether it goes on
	if now() >= slice_end then
		yield();
		slice_end = now() + slice;
	end
	return not stopped;
end

-- Waits until what was sent has left this process, to connections that take it at once. Prosody writes when the event loop comes
-- to a connection. Among those that it has found ready, a tick may have its turn before them; a second one comes behind all of them.
local function flush()
	suspend(function (wake)
		ticks[#ticks + 1] = function ()
			ticks[#ticks + 1] = wake;
			core.tick();
		end;
		core.tick();
	end);
end

-- To suspend a request costs more than to answer most. A connection that reads no other for a while
-- costs a timer.
local function pause(conn, seconds)
	if conn.pausefor then -- not in the select and libevent backends
		conn:pausefor(seconds);
	end
end

local function has_read_more(conn) --> boolean
	local socket = conn.conn;
	return socket ~= nil and socket.dirty ~= nil and socket:dirty();
end

-- A request that was suspended paused its connection. What Prosody had read of it by then, the next requests of a client that does
-- not wait for answers, would stay where it is until that client sends more. The second timer is behind what has been read, of
-- which the next request may be suspended too: then no more is read.
local function go_on(conn)
	if not has_read_more(conn) then return; end
	timer.add_task(0, function ()
		timer.add_task(0, function ()
			if conn._wantread and has_read_more(conn) then conn:onreadable(); end
		end);
	end);
end

-- Prosody looks at its timers only when no connection has anything to read, so a flood of requests
-- holds up whatever waits for one: clients that are slowed down, timeouts, requests that wait. Where a
-- timer is late by this much, connections wait until it had its turn.
local late = 0.05; -- seconds
local timer_set; -- when, or nil

local function let_timers_run(conn)
	local time = now();
	if not timer_set then
		timer_set = time;
		timer.add_task(late / 2, function () timer_set = nil; end);
	elseif time - timer_set > late then
		pause(conn, 0);
	end
end

-- Requests whose credentials are refused are answered at this rate, once so many were at once: a flood
-- of them leaves the server to others.
local refusals_per_second = 500;
local refusals_at_once = 100;
local next_refusal = 0;

local function refusal_delay() --> seconds
	local time = now();
	next_refusal = math.max(next_refusal, time - refusals_at_once / refusals_per_second) + 1 / refusals_per_second;
	return math.max(next_refusal - time, 0);
end

-- Waits for a piece of work of the native half.
local function await(ticket) --> boolean: whether it goes on
	return suspend(function (wake)
		local wakes = tickets[ticket] or {};
		tickets[ticket] = wakes;
		wakes[#wakes + 1] = wake;
	end);
end

local function work_ended()
	local woken = ticks; -- not those of the requests that go on here
	ticks = {};
	for _, ticket in ipairs(core.ended()) do
		local wakes = tickets[ticket] or {};
		tickets[ticket] = nil;
		for _, wake in ipairs(wakes) do wake(); end
	end
	for _, wake in ipairs(woken) do wake(); end
end

local watches = {};

-- An outcome has a status or a problem, once there is one.
local function settle(outcome, status, problem)
	if outcome.status or outcome.problem then return; end
	outcome.status, outcome.problem = status, problem;
	local on_settled = outcome.on_settled;
	outcome.on_settled = nil; -- it holds the request, and a timer may hold the outcome
	if on_settled then on_settled(); end
end

-- Waits until all of these have a status or a problem.
local function settled(outcomes) --> problem, where the request cannot go on
	local pending = 0;
	for _, outcome in ipairs(outcomes) do
		if not outcome.status and not outcome.problem then pending = pending + 1; end
	end
	if pending == 0 then return nil; end
	local goes_on = suspend(function (wake)
		local function on_settled()
			pending = pending - 1;
			if pending == 0 then wake(); end
		end
		for _, outcome in ipairs(outcomes) do
			outcome.on_settled = on_settled;
		end
	end);
	return not goes_on and unloaded or nil;
end

-- Does something with each item, in slices that leave the event loop free. Unlike `breathe`, it is
-- not part of a request. The first slice is at once.
local function in_slices(next_item, handle)
	local function slice_of_it()
		local ends = now() + slice;
		for item in next_item do
			handle(item);
			if now() >= ends then return 0; end
		end
	end
	if slice_of_it() then
		timer.add_task(0, slice_of_it);
	end
end

-- Timers that are stopped with the module: until one that goes on for hours is due, the module would stay in memory, and
-- with it the threads and file descriptors of the native half.
local timers = {};

local function repeatedly(seconds, callback)
	timers[#timers + 1] = module:add_timer(seconds, callback);
end

-- How many requests are suspended.
local function count() --> number
	local all = 0;
	for _ in pairs(waiting) do all = all + 1; end
	return all;
end

register_state("waiting_requests", count);
register_state("awaited_tickets", function ()
	local all = 0;
	for _ in pairs(tickets) do all = all + 1; end
	return all;
end);

-- Ends all that wait, with 503.
local function stop()
	stopped = true;
	for _, watch in ipairs(watches) do watch:close(); end
	for _, a_timer in ipairs(timers) do a_timer:stop(); end
	local wakes = {};
	for wake in pairs(waiting) do wakes[#wakes + 1] = wake; end
	for _, wake in ipairs(wakes) do wake(); end
end

local function init(the_core)
	core = the_core;
	for index, fd in ipairs({ core.wake_fds() }) do
		watches[index] = server.watchfd(fd, work_ended);
	end
	return {
		await = await; breathe = breathe; count = count; flush = flush; go_on = go_on; in_slices = in_slices; let_timers_run = let_timers_run;
		pause = pause; refusal_delay = refusal_delay; repeatedly = repeatedly; settle = settle;
		suspend = suspend; settled = settled; sleep = sleep; stop = stop; unloaded = unloaded;
	};
end

return init;
