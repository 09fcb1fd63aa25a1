-- Turns of the event loop. Long work runs here, a slice of it in each turn; between two turns, the chat server does its own work.
-- Accounts take turns: an account with many requests gets the same time as an account with one.

local now = require "util.time".monotonic;
local timer = require "util.timer";

local core = module.import "host";
local counters = module.import "counters";
local queue = module.import "queue";
local server = module.import "prosody";

local is_empty, pop, push = queue.is_empty, queue.pop, queue.push;

local slice = 0.001; -- seconds of work in a turn
local timer_interval = 0.02; -- seconds after which a timer begins a turn
local no_account = ""; -- used for work without an account, such as a request whose sender is not known yet

local stopped = false;

-- All hosts share this table, and it survives a reload.
local loop = module:shared("/*/post_msg/loop");
loop.slice_end = loop.slice_end or 0; -- the time at which the current slice ends
loop.last_timer_turn = loop.last_timer_turn or 0; -- the last time at which a timer began a turn
loop.ready = loop.ready or {}; -- account → queue of functions that continue its work
loop.accounts = loop.accounts or queue.new(); -- accounts with work, each once
-- loop.next: nil if no turn is due; else the event that begins it: a core (at its tick), "timer", or "now" while a tick is handled

local run_turn;

-- Makes the next turn due. Usually it begins at a tick of the native half, for which Prosody reads a file descriptor: a timer would cost
-- a millisecond, and Prosody looks at timers only when there is nothing to read. But every 20 ms a timer begins the turn, so that Prosody
-- runs its timers. After the module was unloaded, nothing reads its ticks, so timers begin all turns.
local function request_turn()
	if loop.next then return; end
	if stopped or now() - loop.last_timer_turn > timer_interval then
		loop.next = "timer";
		timer.add_task(0, function ()
			loop.last_timer_turn = now();
			loop.next = nil;
			run_turn();
		end);
	else
		loop.next = core;
		core:tick();
	end
end

-- Calls a function in a turn of an account (nil for work without one).
local function enqueue(account, continue)
	account = account or no_account;
	local work = loop.ready[account];
	if not work then
		work = queue.new();
		loop.ready[account] = work;
		push(loop.accounts, account);
	end
	push(work, continue);
	request_turn();
end

-- Takes the next function of the next account, and moves the account to the end of the queue.
local function dequeue() --> function
	local account = pop(loop.accounts);
	local work = loop.ready[account];
	local continue = pop(work);
	if is_empty(work) then
		loop.ready[account] = nil;
	else
		push(loop.accounts, account);
	end
	return continue;
end

function run_turn()
	if is_empty(loop.accounts) then return; end
	loop.slice_end = now() + slice;
	repeat
		local ok, err = pcall(dequeue());
		if not ok then module:log("error", "Work in slices ended with an error: %s", err); end
	until is_empty(loop.accounts) or now() >= loop.slice_end;
	if not is_empty(loop.accounts) then request_turn(); end
end

local function is_slice_over() --> boolean
	return now() >= loop.slice_end;
end

-- Handles each item that `next_item` returns, in slices, until it returns nil. It does not suspend the caller. The first items, for a
-- quarter of a slice, are handled at once.
local function in_slices(next_item, handle, account)
	local function handle_until(time) --> whether there are more items
		repeat
			local item = next_item();
			if item == nil then return false; end
			handle(item);
		until now() >= time;
		return true;
	end
	local function continue()
		if handle_until(loop.slice_end) then enqueue(account, continue); end
	end
	if handle_until(now() + slice / 4) then enqueue(account, continue); end
end

-- Ticks

local tickets = {}; -- ticket of a piece of work of the native half → functions to call once the work has ended
local tick_calls = {}; -- functions to call at the next tick

local function at_next_tick(call)
	tick_calls[#tick_calls + 1] = call;
	core:tick();
end

local function at_end_of(ticket, call)
	local calls = tickets[ticket] or {};
	tickets[ticket] = calls;
	calls[#calls + 1] = call;
end

local function call_all(calls)
	for _, call in ipairs(calls) do call(); end
end

local function on_tick()
	local ended, calls = core:ended(), tick_calls;
	tick_calls = {};
	-- The next turn begins here, unless a tick of another host is to begin it.
	local is_due = loop.next == nil or loop.next == core;
	if is_due then loop.next = "now"; end
	for _, ticket in ipairs(ended) do
		local its_calls = tickets[ticket] or {};
		tickets[ticket] = nil;
		call_all(its_calls);
	end
	call_all(calls);
	if is_due then loop.next = nil; end
	if is_due or loop.next == "timer" then run_turn(); end
end

local watches = {};
for index, fd in ipairs({ core:wake_fds() }) do
	watches[index] = server.watch_fd(fd, on_tick);
end

-- From now on, timers begin the turns.
local function stop()
	stopped = true;
	for _, watch in ipairs(watches) do watch:close(); end
	if loop.next == core then
		loop.next = nil;
		request_turn();
	end
end

counters.register("awaited_tickets", function ()
	return counters.count_keys(tickets);
end);
counters.register("awaited_ticks", function ()
	return #tick_calls;
end);
counters.register("accounts_with_work", function ()
	return counters.count_keys(loop.ready) + queue.count(loop.accounts);
end);
for name in pairs(core:state()) do
	counters.register(name, function () return core:state()[name]; end);
end

return {
	at_end_of = at_end_of; at_next_tick = at_next_tick; enqueue = enqueue; in_slices = in_slices; is_slice_over = is_slice_over; stop = stop;
};
