-- Waiting: for work of the native half, for outcomes, for a turn of the event loop. A request runs in the
-- coroutine that Prosody's HTTP server gives it.

local async = require "util.async";
local now = require "util.time".monotonic;
local server = require "net.server";
local timer = require "util.timer";

local core = module.import "host";
local counters = module.import "counters";
local fifo = module.import "queue";

local new_queue, push, pop, is_empty = fifo.new, fifo.push, fifo.pop, fifo.is_empty;

local stopped = false;
local waiting = {}; -- function that continues a suspended request → true
local tickets = {}; -- ticket → the wakes of those who wait for it

-- Everything that may take long runs here, a slice in each turn of the event loop, whatever the number of requests and hosts.
-- Accounts take turns: an account with many requests gets no more than an account with one.
local slice = 0.001; -- seconds

-- All hosts share this:
local loop = module:shared("/*/post_msg/loop");
loop.slice_end = loop.slice_end or 0;
loop.timers_looked_at = loop.timers_looked_at or 0;
loop.ready = loop.ready or {}; -- account → queue of functions that go on with its work
loop.accounts = loop.accounts or new_queue(); -- accounts with work, each once
-- `loop.next` is what the next turn waits for, if one is due: a tick of the core that it names, or "timer".

local nobody = ""; -- work without an account, such as requests before their sender is known
local turn;

-- Prosody looks at its timers only when no connection has anything to read, and waits a millisecond for a timer that is due at
-- once. A tick is something to read; every 20 ms, a timer takes its place. After the module was unloaded, nothing reads ticks.
local function set_turn()
	if loop.next then return; end
	if stopped or now() - loop.timers_looked_at > 0.02 then
		loop.next = "timer";
		timer.add_task(0, function ()
			loop.timers_looked_at = now();
			loop.next = nil;
			turn();
		end);
	else
		loop.next = core;
		core:tick();
	end
end

local function enqueue(account, go_on)
	account = account or nobody;
	local queue = loop.ready[account];
	if not queue then
		queue = new_queue();
		loop.ready[account] = queue;
		push(loop.accounts, account);
	end
	push(queue, go_on);
	set_turn();
end

local function dequeue() --> function
	local account = pop(loop.accounts);
	local queue = loop.ready[account];
	local go_on = pop(queue);
	if is_empty(queue) then
		loop.ready[account] = nil;
	else
		push(loop.accounts, account);
	end
	return go_on;
end

function turn()
	if is_empty(loop.accounts) then return; end
	loop.slice_end = now() + slice;
	repeat
		local ok, err = pcall(dequeue());
		if not ok then module:log("error", "Work in slices ended with an error: %s", err); end
	until is_empty(loop.accounts) or now() >= loop.slice_end;
	if not is_empty(loop.accounts) then set_turn(); end
end

-- Suspends the request until `wake` is called, which is given to `arm`. It goes on in a turn of its account.
local function suspend(arm, account) --> boolean: whether it goes on
	if stopped then return false; end
	local wait, done = async.waiter();
	local function go_on()
		if waiting[go_on] then
			waiting[go_on] = nil;
			done();
		end
	end
	waiting[go_on] = true;
	local armed, err = pcall(arm, function ()
		if waiting[go_on] then enqueue(account, go_on); end
	end);
	if not armed then
		waiting[go_on] = nil;
		error(err, 0);
	end
	wait();
	return not stopped;
end

local function sleep(seconds) --> boolean: whether it goes on
	return suspend(function (wake)
		timer.add_task(seconds, function () wake(); end);
	end);
end

-- Lets others have their turn, if the slice is over.
local function breathe(account) --> boolean: whether it goes on
	if now() < loop.slice_end then return not stopped; end
	return suspend(function (wake) wake(); end, account);
end

local ticks = {}; -- functions that are called at the next tick

-- Waits until what was sent has left this process, to connections that take it at once. Prosody writes when the event loop comes
-- to a connection. Among those that it has found ready, a tick may have its turn before them; a second one comes behind all of them.
local function flush(account)
	suspend(function (wake)
		ticks[#ticks + 1] = function ()
			ticks[#ticks + 1] = wake;
			core:tick();
		end;
		core:tick();
	end, account);
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
	elseif time - timer_set > late and conn.pausefor then -- not in the select and libevent backends
		conn:pausefor(0);
	end
end

-- Waits for a piece of work of the native half.
local function await(ticket, account) --> boolean: whether it goes on
	return suspend(function (wake)
		local wakes = tickets[ticket] or {};
		tickets[ticket] = wakes;
		wakes[#wakes + 1] = wake;
	end, account);
end

local function on_tick()
	local ended, due = core:ended(), ticks;
	ticks = {};
	-- The turn is now, and not at another tick, unless that of another host is due.
	local is_due = loop.next == nil or loop.next == core;
	if is_due then loop.next = "now"; end
	for _, ticket in ipairs(ended) do
		local wakes = tickets[ticket] or {};
		tickets[ticket] = nil;
		for _, wake in ipairs(wakes) do wake(); end
	end
	for _, call in ipairs(due) do call(); end
	if is_due then loop.next = nil; end
	if is_due or loop.next == "timer" then turn(); end
end

local watches = {};

-- Does something with each item, in slices that leave the event loop free. Unlike `breathe`, it is
-- not part of a request. What takes a quarter of a slice is done at once.
local function in_slices(next_item, handle, account)
	local function handle_some(ends) --> boolean: whether there is more
		repeat
			local item = next_item();
			if item == nil then return false; end
			handle(item);
		until now() >= ends;
		return true;
	end
	local function continue()
		if handle_some(loop.slice_end) then enqueue(account, continue); end
	end
	if handle_some(now() + slice / 4) then enqueue(account, continue); end
end

-- Timers that are stopped with the module: until one that goes on for hours is due, the module would stay in memory, and
-- with it the threads and file descriptors of the native half.
local timers = {};

local function repeatedly(seconds, callback)
	timers[#timers + 1] = module:add_timer(seconds, callback);
end

local function count_keys(items) --> number
	local all = 0;
	for _ in pairs(items) do all = all + 1; end
	return all;
end

-- How many requests are suspended.
local function count() --> number
	return count_keys(waiting);
end

counters.register("waiting_requests", count);
counters.register("awaited_tickets", function () return count_keys(tickets); end);
counters.register("awaited_ticks", function () return #ticks; end);
counters.register("accounts_with_work", function () return count_keys(loop.ready) + loop.accounts.last + 1 - loop.accounts.first; end);

-- Ends all that wait, with 503.
local function stop()
	stopped = true;
	for _, watch in ipairs(watches) do watch:close(); end
	for _, a_timer in ipairs(timers) do a_timer:stop(); end
	local suspended = {};
	for continue in pairs(waiting) do suspended[#suspended + 1] = continue; end
	for _, continue in ipairs(suspended) do continue(); end
	if loop.next == core then
		loop.next = nil;
		set_turn();
	end
end

for name in pairs(core:state()) do
	counters.register(name, function () return core:state()[name]; end);
end
for index, fd in ipairs({ core:wake_fds() }) do
	watches[index] = server.watchfd(fd, on_tick);
end

return {
	await = await; breathe = breathe; count = count; flush = flush; go_on = go_on; in_slices = in_slices;
	let_timers_run = let_timers_run; repeatedly = repeatedly; suspend = suspend; sleep = sleep; stop = stop;
};
